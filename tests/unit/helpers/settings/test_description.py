"""A setting in words."""

from helpers.global_config import Config
from helpers.settings.description import Description


def test_a_number_is_described_with_its_range():
    text = "Learning rate of the clients' optimizer (OPTIMIZER)."
    assert Config.describe("BASE_LR") == Description(
        type="float", default="0.001", range="> 0, ≤ 10", unit="per step", is_local=False, text=text
    )


def test_types_have_words():
    assert Config.describe("num_workers").type == "int or `auto`"
    assert Config.describe("INPUT_SHAPE").type == "pair of int"
    assert Config.describe("LR_SCALING").range == "`none` or `linear`"
    assert Config.describe("DATA_DIR").is_local

"""Search space of `run.py tune`."""

import pytest

from commands.search_space import Search, options_of
from helpers.settings.errors import UserError


@pytest.mark.parametrize(
    ("text", "search"),
    [
        ("base_lr=1e-5..1e-2:log", Search("BASE_LR", (), 1e-5, 1e-2, is_log=True)),
        ("MOMENTUM=0.5..0.99", Search("MOMENTUM", (), 0.5, 0.99)),
        ("train-batch-size=8..64", Search("TRAIN_BATCH_SIZE", (), 8, 64, is_whole=True)),
        ("train_batch_size=8,16,32", Search("TRAIN_BATCH_SIZE", ("8", "16", "32"))),
        ("optimizer=adam, sgd", Search("OPTIMIZER", ("adam", "sgd"))),
        ("NUM_WORKERS=2,3", Search("num_workers", ("2", "3"))),
    ],
)
def test_spans_and_lists(text, search):
    assert Search.of(text) == search


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("base_lrr=1..2", "there is no such setting; did you mean BASE_LR"),
        ("seed=1,2", "there is no such setting"),
        ("base_lr", "expected NAME="),
        ("base_lr=", "expected NAME="),
        ("base_lr=1,1", "at least two different values"),
        ("base_lr=0.1", "at least two different values"),
        ("base_lr=2..1", "must be the lower one"),
        ("base_lr=0..1:log", "above 0 with :log"),
        ("base_lr=a..b", "expected NAME="),
        ("optimizer=1..2", "OPTIMIZER is not a number; list its values"),
    ],
)
def test_mistakes_are_refused(text, message):
    with pytest.raises(UserError, match=message):
        Search.of(text)


def test_values_become_options():
    values = {"MOMENTUM": 0.9, "BASE_LR": 0.000123456789, "OPTIMIZER": "sgd", "TRAIN_BATCH_SIZE": 8}
    assert options_of(values) == [
        "--base-lr=0.000123457", "--momentum=0.9", "--optimizer=sgd", "--train-batch-size=8",
    ]  # fmt: skip


def test_the_ends_show_what_a_value_may_be():
    assert Search.of("train_batch_size=8..64").ends() == (8, 64)
    assert Search.of("optimizer=adam,sgd").ends() == ("adam", "sgd")


def test_values_are_proposed_by_optuna():
    optuna = pytest.importorskip("optuna")
    trial = optuna.trial.FixedTrial({"BASE_LR": 0.001, "TRAIN_BATCH_SIZE": 16, "OPTIMIZER": "sgd"})
    texts = ("base_lr=1e-5..1e-2:log", "train_batch_size=8..64", "optimizer=adam,sgd")
    assert [Search.of(text).suggest(trial) for text in texts] == [0.001, 16, "sgd"]

"""Refusal of conflicting settings: the message."""

import pytest

from helpers.global_config import Config
from helpers.settings.conflicts import refuse
from helpers.settings.errors import ConfigError


def test_the_first_conflict_is_named_with_condition_reason_and_remedies() -> None:
    conflicts = {"SEED": (False, "no"), "EPOCHS": (True, "too few"), "BASE_LR": (True, "later")}
    with pytest.raises(
        ConfigError,
        match=r"^EPOCHS: received 10 with A=1: too few; set A=2, or leave EPOCHS at its default, 10$",
    ):
        refuse(Config(), conflicts, "A=1", "set A=2, or ")

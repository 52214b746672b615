"""Former names of settings, and suggestions for unknown names."""

import pytest

from helpers.global_config import Config
from helpers.settings import names
from helpers.settings.errors import ConfigError
from helpers.settings.names import RENAMED, accept_former_names, current_names, no_such


@pytest.fixture(autouse=True)
def _nothing_announced():
    names._announce.cache_clear()


def test_former_names_are_no_longer_settings_and_their_successors_are():
    assert not RENAMED.keys() & Config.model_fields.keys()
    assert set(RENAMED.values()) <= Config.model_fields.keys()


def test_a_former_name_is_announced_once(capsys):
    for _ in range(2):
        assert accept_former_names({"NUM_LIARS": 2, "SEED": 1}) == {"NUM_MALICIOUS": 2, "SEED": 1}
    assert capsys.readouterr().err == "NUM_LIARS is now NUM_MALICIOUS\n"


def test_the_settings_of_a_stored_run_are_read_without_a_word(capsys):
    assert current_names({"NUM_LIARS": 2}) == {"NUM_MALICIOUS": 2}
    assert Config.from_run({"NUM_LIARS": 2}).NUM_MALICIOUS == 2
    assert capsys.readouterr().err == ""


def test_both_names_at_once_are_refused():
    with pytest.raises(ConfigError, match=r"^NUM_LIARS and NUM_MALICIOUS: both are set.*; remove NUM_LIARS"):
        accept_former_names({"NUM_LIARS": 2, "NUM_MALICIOUS": 2})


def test_an_unknown_name_suggests_the_nearest():
    known = ["EPOCHS", "num_workers"]
    assert no_such("setting", "EPOCH", known) == "EPOCH: there is no such setting; did you mean EPOCHS?"
    assert no_such("setting", "NUM_WORKER", known).endswith("did you mean num_workers?")
    assert no_such("setting", "x", known).endswith("docs/configuration.md lists them all")

"""Settings as options of a command."""

import pytest

from helpers.global_config import Config
from helpers.settings.command_line import (
    NOT_OPTIONS,
    ArgumentParser,
    add_settings,
    config_from_arguments,
    option_of,
)
from helpers.settings.errors import ConfigError


@pytest.fixture
def parser():
    parser = ArgumentParser(prog="train")
    parser.add_argument("--force", action="store_true")
    add_settings(parser, Config)
    return parser


def test_the_command_line_wins(parser, tmp_path, monkeypatch):
    file = tmp_path / "settings.toml"
    file.write_text("EPOCHS = 2\nSEED = 2\n")
    monkeypatch.setenv("DT_EPOCHS", "3")
    options = parser.parse_args(["--config", str(file), "--epochs", "4", "--input-shape", "64x32"])
    config = config_from_arguments(Config, options)
    assert (config.EPOCHS, config.SEED, config.INPUT_SHAPE) == (4, 2, (64, 32))


def test_every_setting_of_a_command_has_an_option(parser):
    options = parser.format_help()
    for name in Config.model_fields:
        # A password on a command line is visible to other users; workers have both from their environment.
        assert (option_of(name) + " VALUE" in options) == (name not in NOT_OPTIONS)


def test_an_option_is_described(parser):
    text = " ".join(parser.format_help().split())
    assert "Images per training step of a client. [≥ 1, images; default 2]" in text


def test_a_former_name_is_an_option_that_help_does_not_show(parser):
    assert config_from_arguments(Config, parser.parse_args(["--num-liars", "0"])).NUM_MALICIOUS == 0
    assert "num-liars" not in parser.format_help()
    both = parser.parse_args(["--num-liars", "0", "--num-malicious", "1"])
    with pytest.raises(ConfigError, match=r"^NUM_LIARS and NUM_MALICIOUS: both are set"):
        config_from_arguments(Config, both)


def test_some_settings_can_be_chosen(capsys):
    parser = ArgumentParser()
    add_settings(parser, Config, only=("SEED",))
    assert parser.parse_args(["--seed", "1"]).SEED == "1"
    with pytest.raises(SystemExit):
        parser.parse_args(["--num-liars", "1"])
    assert capsys.readouterr().err.startswith("error: --num-liars: there is no such option; ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--ephocs", "5"], "--ephocs: there is no such option; did you mean --epochs?"),
        (["--ephocs=5"], "--ephocs: there is no such option; did you mean --epochs?"),
        (["--epoch", "5"], "--epoch: there is no such option; did you mean --epochs?"),
        (["--xyzzy"], "--xyzzy: there is no such option; --help lists them all"),
        (["extra"], "extra: unexpected argument; --help lists the options"),
        (["--epochs"], "argument --epochs: expected one argument"),
    ],
)
def test_a_wrong_word_ends_the_command_with_one_line(parser, words, message, capsys):
    with pytest.raises(SystemExit) as caught:
        parser.parse_args(words)
    assert caught.value.code == 2
    assert capsys.readouterr() == ("", f"error: {message}\n")

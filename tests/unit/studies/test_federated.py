"""The command line of the study."""

import pytest

from studies import federated


def test_the_command_that_is_told_names_no_folder():
    options = federated.parse(["--seeds", "4", "5", "--out", "/somewhere", "--data-dir", "/there"])
    without = federated.parse(["--no-liars"])
    assert federated.command_of(without).endswith(" --no-liars")
    assert federated.command_of(options) == (
        "python -m studies.federated --seeds 4 5 --rounds 24 --reach 0.7"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seeds", "1", "1"], "--seeds: received [1, 1], expected different whole numbers from 1 on"),
        (["--rounds", "0"], "--rounds: received 0, expected at least 1"),
    ],
)
def test_wrong_options_are_refused(arguments, message, capsys):
    with pytest.raises(SystemExit) as caught:
        federated.parse(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err

"""The command line of the study of recipes."""

import pytest

from studies import recipes


def test_cases_and_seeds_can_be_chosen():
    options = recipes.parse(["--recipe", "ultrasound_small", "--cases", "pooled", "--seeds", "5"])
    assert (options.recipe, options.cases, options.seeds) == ("ultrasound_small", ["pooled"], [5])


@pytest.mark.parametrize("seeds", [["0"], ["1", "1"]])
def test_wrong_seeds_are_refused(seeds, capsys):
    with pytest.raises(SystemExit) as caught:
        recipes.parse(["--seeds", *seeds])
    assert caught.value.code == 2
    assert "expected different whole numbers from 1 on" in capsys.readouterr().err

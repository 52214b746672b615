"""Sections of the study's page: which runs each compares."""

from studies.sections import (
    algorithm_section,
    liar_section,
    partition_section,
    update_section,
)
from tests.unit.studies.made_up_outcomes import EVEN, WRONG, made_up

DIVIDED = {"0": {"0": 5, "1": 3}, "1": {"0": 1, "1": 0}}


def test_sections_say_who_was_chosen_and_what_is_compared_with_what():
    pooled, honest = [made_up(title="pooled")], [made_up(title="honest")]
    alone = made_up(title="best client alone", sites=["A", "B"], settings={"CLIENTS": [1]})
    fed, other = [made_up(EVEN, title="fed", partition=DIVIDED)], [made_up(WRONG, title="other")]

    each = [made_up(EVEN, title="A alone")]
    first = partition_section(pooled, [alone], [each], [fed], 0.75)
    assert "among the sites: seed 1: B." in first.parts[1]
    assert first.panels == {"": [pooled, [alone], fed]}
    assert any("| fed | −0.500 [" in part and "| A alone | −0.500 [" in part for part in first.parts)
    assert any("fed − pooled: −0.500" in part for part in first.parts)

    second = algorithm_section(fed, [other], pooled, 0.75)
    assert "**fed**" in second.parts[0]
    assert any(part.startswith("| minus fed |") and "| other | −0.500 [" in part for part in second.parts)
    assert any(part.startswith("| minus pooled |") and "| other | −1.000 [" in part for part in second.parts)

    smaller = update_section(fed, [other], 0.75)
    assert "**fed**" in smaller.parts[0]
    assert any(part.startswith("| minus fed |") and "| other | −0.500 [" in part for part in smaller.parts)
    assert smaller.panels == {"": [fed, other]}

    third = liar_section(honest, {"labels": [other], "noise": [fed]}, 0.75)
    assert "multi-Krum has 7 clients" in third.parts[0]
    assert third.panels == {"labels flipped": [honest, other], "noise sent as update": [honest, fed]}

"""The order of the study's cases."""

from studies.cases import partition_cases
from studies.study import Parts


def names(cases):
    return [case.name for case in cases]


def test_what_is_run_for_each_seed():
    parts = Parts(liars=True, few=False)
    assert names(parts.first(["GE", "Toshiba"])) == [
        *("pooled", "alone-0", "alone-1", "iid", "site", "dirichlet", "honest")
    ]
    tried = parts.candidates(partition_cases(2)[1])
    assert names(tried[1]) == ["site-fedprox-0.001", "site-fedprox-0.01", "site-fedprox-0.1"]
    later = names(parts.later(["GE", "Toshiba"]))
    assert later[:2] == ["iid-float16", "iid-int8"]
    assert len(later) == 2 + 2 * 4
    assert parts.count([["GE", "Toshiba"]]) == 7 + 6 + 10 + 18
    assert parts.count([["GE", "Toshiba"], ["GE"]]) == 7 + 6 + 10 + 6 + 6 + 10 + 18


def test_few_are_enough_for_a_check():
    parts = Parts(liars=True, few=True)
    assert names(parts.later(["GE"])) == ["iid-float16", "labels-median", "noise-median"]
    assert len(parts.candidates(partition_cases(1)[0])) == 1


def test_without_liars_nobody_lies_and_their_reference_is_left_out():
    parts = Parts(liars=False, few=False)
    cases = [*parts.first(["GE"]), *parts.later(["GE"])]
    assert [case.name for case in cases if case.lie or case.name == "honest"] == []
    assert len(cases) == 5 + 2

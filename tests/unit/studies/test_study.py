"""The order of the study's cases."""

from studies.study import first_cases, later_cases


def test_what_is_run_for_each_seed():
    sites = ["GE", "Toshiba"]
    assert [case.name for case in first_cases(sites, liars=True)] == [
        *("pooled", "alone-0", "alone-1", "iid", "site", "dirichlet", "honest")
    ]
    later = [case.name for case in later_cases(sites, 1, liars=True, few=False)]
    assert later[:4] == ["site-fedprox", "site-fedadam", "site-sgd", "site-scaffold"]
    assert later[4:6] == ["iid-float16", "iid-int8"]
    assert len(later) == 4 + 2 + 2 * 4
    assert [case.name for case in later_cases(sites, 2, liars=True, few=True)] == [
        *("dirichlet-fedprox", "iid-float16", "labels-median", "noise-median")
    ]


def test_without_liars_nobody_lies_and_their_reference_is_left_out():
    cases = [*first_cases(["GE"], liars=False), *later_cases(["GE"], 0, liars=False, few=False)]
    assert [case.name for case in cases if case.lie or case.name == "honest"] == []
    assert len(cases) == 5 + 4 + 2

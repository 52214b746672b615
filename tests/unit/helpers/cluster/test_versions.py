"""What has to be the same in every process of a run."""

from helpers.cluster.versions import explain_difference, versions_here


def test_this_process_names_its_code_and_packages() -> None:
    here = versions_here()
    assert {"code", "tensorflow", "keras", "numpy", "albumentations", "opencv", "scikit-learn"} == set(here)
    assert "absent" not in here.values()
    assert len(here["code"]) == 12


def test_what_differs_is_named() -> None:
    assert explain_difference({"keras": "3.1", "code": "a"}, {"keras": "3.1", "code": "a"}) == ""
    said = explain_difference({"keras": "3.1", "code": "a"}, {"keras": "3.2", "code": "a", "new": "1"})
    assert said == "keras 3.2 instead of 3.1, new 1 instead of unknown"

"""The cohort of sites: which take part, under which ids."""

import hashlib

import pytest

from helpers.federated.results import RunState
from helpers.federated.sites.cohort import SiteChooser


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


NAMES = ("benign", "malignant")


def site(name: str, **other) -> dict:
    facts = {"data_digest": digest(name), "input_shape": [16, 16, 3], "classes": list(NAMES)}
    return {"name": name, **facts, "train": [5, 6], "val": [2, 3], "test": [3, 3], **other}


def state(round_number: int, *sites: dict) -> RunState:
    return RunState("r", round_number, "f", None, None, None, sites=list(sites))


class Fleet:
    """Live workers by name, what was lacking among them, and what was said."""

    def __init__(self, *names: str, min_clients: float = 0.5) -> None:
        self.workers = {f"w-{name}": {"site": site(name)} for name in names}
        self.lacking = ""
        self.said: list[str] = []
        self.chooser = SiteChooser(self.wait, min_clients, (16, 16, 3), NAMES, 1.0, 42, self.said.append)

    def wait(self, lacking):
        self.lacking = lacking(self.workers)
        return self.workers


def test_ids_stay_when_a_site_leaves_comes_back_and_another_joins() -> None:
    fleet = Fleet("south", "north")
    first = fleet.chooser.choose(state(0))
    assert (first.clients, [one["name"] for one in first.sites]) == ([0, 1], ["north", "south"])
    north = fleet.workers.pop("w-north")
    second = fleet.chooser.choose(state(1, *first.sites))
    assert (second.clients, second.num_clients) == ([1], 2)
    fleet.workers |= {"w-east": {"site": site("east")}, "w-north": north}
    third = fleet.chooser.choose(state(2, *second.sites))
    assert [one["name"] for one in third.sites] == ["north", "south", "east"]
    assert third.clients == [0, 1, 2]
    assert fleet.said == [
        "round 1: sites: north, south",
        "round 2: sites: north left. Alive: south",
        "round 3: sites: east joined; north joined. Alive: east, north, south",
    ]
    resumed = Fleet("north", "east").chooser.choose(state(3, *third.sites))
    assert resumed.clients == [0, 2]


@pytest.mark.parametrize(
    ("min_clients", "known", "is_lacking"),
    [(0.5, 0, False), (0.5, 3, False), (0.5, 5, True), (2, 0, False), (3, 0, True), (2.5, 0, True)],
)
def test_it_waits_for_as_many_sites_as_a_round_needs(min_clients: float, known: int, is_lacking) -> None:
    fleet = Fleet("a", "b", min_clients=min_clients)
    fleet.chooser.choose(state(1, *(site(name) for name in "abcde"[:known])))
    assert bool(fleet.lacking) == is_lacking
    assert not is_lacking or "needs 3 live sites; alive: a, b" in fleet.lacking


def test_a_site_without_a_class_in_validation_is_named_once() -> None:
    fleet = Fleet("a", "b")
    fleet.workers["w-a"]["site"]["val"] = [4, 0]
    fleet.chooser.choose(state(0))
    fleet.chooser.choose(state(1))
    (said,) = (said for said in fleet.said if "malignant" in said)
    assert said.startswith("site a has no validation image of malignant: if scores stay")

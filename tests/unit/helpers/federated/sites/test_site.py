"""Sites as their workers describe them: usable ones, refused ones, names."""

import hashlib
import re

import pytest

from helpers.federated.messages import MessageError
from helpers.federated.sites.site import Site, described, usable_sites
from helpers.global_config import Config
from helpers.settings.errors import ConfigError


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


NAMES = ("benign", "malignant")


def site(name: str, **other) -> dict:
    facts = {"data_digest": digest(name), "input_shape": [16, 16, 3], "classes": list(NAMES)}
    return {"name": name, **facts, "train": [5, 6], "val": [2, 3], "test": [3, 3], **other}


def test_workers_without_a_site_are_no_clients() -> None:
    statuses = {"plain": None, "w1": site("a"), "w2": site("a")}
    usable, refused = usable_sites(statuses, [], (16, 16, 3), NAMES)
    assert (list(usable), refused) == (["a"], [])


@pytest.mark.parametrize(
    ("statuses", "reason"),
    [
        (
            {"w1": site("a"), "w2": site("a", data_digest=digest("other"))},
            "its workers have different images",
        ),
        ({"w1": site("a", input_shape=[32, 32, 3])}, r"INPUT_SHAPE and INPUT_DIM are \[16, 16, 3\]"),
        ({"w1": site("a", input_shape=[16, 16, 1])}, r"its images are \[16, 16, 1\]"),
        ({"w1": site("a", input_shape=[16, 16])}, "are not 3 counts"),
        ({"w1": site("a", train=[0, 0])}, "no images for training"),
        ({"w1": site("a", val=[0, 0])}, "no images for training or for validation"),
        ({"w1": site("old", data_digest=digest("now others"))}, "have changed since it joined this run"),
        ({"w1": site("a", train=[1, -1])}, "are not 2 counts"),
        ({"w1": site("a", test=[1])}, "are not 2 counts"),
        ({"w1": site("a", patients=[1, 2])}, "are not 3 counts"),
        ({"w1": site("a", patients={"train": 1})}, "are not 3 counts"),
        (
            {"w1": site("a", classes=["malignant", "benign"])},
            "0 malignant, 1 benign, those of the run 0 benign",
        ),
        ({"w1": site("a", classes=["benign", "malignant", "normal"])}, "are not 3 counts"),
        ({"w1": site("a", classes=["benign", "x\n"])}, "not a list of names"),
        ({"w1": site("a", classes="ab")}, "not a list of names"),
        ({"w1": site("a", classes=["one"])}, "not a list of names"),
        ({"w1": site("a", classes=["a", "\x1b[2J"])}, "not a list of names"),
        ({"w1": site("a", classes=["a"] * 5000)}, "not a list of names"),
        ({"w1": site("a", data_digest="z" * 64)}, "is not a name or digest"),
        ({"w1": site("a", data_digest=None)}, "is not a name or digest"),
        ({"w1": {"name": "a"}}, "expected the fields"),
        ({"w1": 7}, "expected the fields"),
    ],
)
def test_a_site_that_does_not_fit_is_left_out_by_name(statuses: dict, reason: str) -> None:
    usable, refused = usable_sites(statuses | {"w9": site("good")}, [Site(**site("old"))], (16, 16, 3), NAMES)
    assert list(usable) == ["good"]
    assert len(refused) == 1
    assert re.search(reason, refused[0])


def test_a_run_records_the_images_of_each_site_and_of_all() -> None:
    sites = [Site.from_message(site(name, patients=[4, 3, 2])).to_message() for name in "ab"]
    data = described(sites)
    assert data["counts"]["train"] == {"0": 10, "1": 12}
    assert data["patients"] == {"train": 8, "val": 6, "test": 4}
    assert data["sites"][1]["data_digest"] == digest("b")
    assert data["sites"][1]["patients"] == {"train": 4, "val": 3, "test": 2}
    assert described([*sites, Site.from_message(site("c")).to_message()])["patients"] is None
    assert described([])["sites"] == []


@pytest.mark.parametrize("name", ["a b", "../x", "-x", "x" * 41, "a:b", "a\n", "=1+1", "<b>"])
def test_a_sites_name_is_one_that_queues_and_tables_can_have(name: str) -> None:
    with pytest.raises(ConfigError, match="SITE"):
        Config.load(SITE=name)
    with pytest.raises(MessageError, match="is not a name"):
        Site.from_message(site(name))

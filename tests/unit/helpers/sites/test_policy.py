"""The policy of a site."""

from pathlib import Path
from typing import Any

import pytest

from helpers.federated.sites.messages import ScoreOrder, SiteTrainOrder
from helpers.global_config import Config
from helpers.settings.errors import ConfigError
from helpers.sites.policy import Bound, OrderRefused, Policy

SITE = {
    "name": "north",
    "classes": ["non-cancerous", "cancerous"],
    "input_shape": [128, 128, 3],
    "train": [10, 10],
}
FACTS = {"run": "r", "session": "s", "data_digest": "", "versions": {}, "attempt": 0, "site": "north"}


def train(**settings: Any) -> SiteTrainOrder:
    own = {"clients": [0], "weights": {}, "sent_at": 0.0, "num_clients": 1, "client": 0}
    return SiteTrainOrder(**FACTS, settings=settings, round=1, **own)


def score(**settings: Any) -> ScoreOrder:
    own = {"client": 0, "split": "val", "weights": {}, "threshold": 0.5}
    return ScoreOrder(**FACTS, settings=settings, round=1, **own)


def policy(tmp_path: Path, text: str) -> Policy:
    (tmp_path / "site.toml").write_text(text)
    return Policy.load(tmp_path)


def test_a_default_run_is_allowed_without_a_file(tmp_path: Path) -> None:
    rules = Policy.load(tmp_path)
    rules.check(train(**Config().for_run()), SITE)
    rules.check(score(), SITE)
    assert (rules.least_images, rules.may_stop_early, rules.needs_approval) == (16, False, False)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"CLASS_NAMES": [f"pixel {i}" for i in range(17)]}, "CLASS_NAMES: the order has"),
        ({"CLASS_NAMES": ["cancerous", "non-cancerous"]}, "CLASS_NAMES: the order has"),
        ({"INPUT_SHAPE": [64, 64]}, r"INPUT_SHAPE and INPUT_DIM: the order has \[64, 64, 3\]"),
        ({"ARCHITECTURE": "evil.nets:spy"}, "ARCHITECTURE=evil.nets:spy: site.toml allows seed_cnn"),
    ],
)
def test_what_is_not_the_sites_own_is_refused(settings: dict[str, Any], reason: str) -> None:
    for order in (train(**settings), score(**settings)):
        with pytest.raises(OrderRefused, match=reason):
            Policy().check(order, SITE)


def test_an_update_of_few_images_is_refused_and_scores_are_not() -> None:
    few = {**SITE, "train": [8, 7]}
    Policy().check(score(), few)
    with pytest.raises(OrderRefused, match="an update of 15 images may not leave"):
        Policy().check(train(), few)
    Policy(least_images=15).check(train(), few)


def test_an_update_before_a_whole_epoch_is_refused_unless_the_site_allows_it() -> None:
    Policy().check_early_stop(num_images=40, num_train=40)  # the first of several epochs
    with pytest.raises(OrderRefused, match="stopped after 39 of 40 images"):
        Policy().check_early_stop(39, 40)
    allowing = Policy(may_stop_early=True)
    allowing.check_early_stop(16, 40)
    with pytest.raises(OrderRefused, match="an update of 1 images may not leave"):
        allowing.check_early_stop(1, 40)


@pytest.mark.parametrize(
    ("bound", "allowed", "refused"),
    [
        ({"least": 8}, [8, 9.5], [7, "8", True, None]),
        ({"most": 3}, [3, -1], [3.1, [1]]),
        ({"one_of": ["adam", True]}, ["adam", True], ["sgd", False]),
        ({"least": 1, "one_of": [1, 2]}, [1, 2], [3]),
        ({}, ["anything"], []),
    ],
)
def test_bounds(bound: dict[str, Any], allowed: list[Any], refused: list[Any]) -> None:
    assert all(Bound(**bound).allows(value) for value in allowed)
    assert not any(Bound(**bound).allows(value) for value in refused)


def test_bounds_hold_for_what_the_order_says_and_for_defaults(tmp_path: Path) -> None:
    rules = policy(
        tmp_path, "[settings.TRAIN_BATCH_SIZE]\nleast = 8\n[settings.OPTIMIZER]\none_of = ['adam']\n"
    )
    rules.check(train(TRAIN_BATCH_SIZE=8), SITE)
    with pytest.raises(OrderRefused, match=r"TRAIN_BATCH_SIZE=2: site.toml has least = 8"):
        rules.check(train(), SITE)
    with pytest.raises(OrderRefused, match=r"OPTIMIZER=sgd: site.toml has one_of = \['adam'\]"):
        rules.check(train(TRAIN_BATCH_SIZE=16, OPTIMIZER="sgd"), SITE)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("least_images = 1", "least_images: Input should be greater than or equal to 2, received 1"),
        ("least_image = 20", "least_image: Extra inputs are not permitted"),
        ("[settings.TRAIN_BATCHSIZE]\nleast = 1", "did you mean TRAIN_BATCH_SIZE"),
        ("[settings.REDIS_URL]\none_of = []", "there is no such setting of a run"),
        ("architectures =", "Invalid value"),
    ],
)
def test_a_wrong_file_is_refused_by_name(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=rf"site.toml: .*{reason}"):
        policy(tmp_path, text)

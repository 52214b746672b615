"""A worker's log: one line per task and per error at info level, everything at debug level."""

import io
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from helpers.cluster.worker_logging import (
    LOG_FORMAT,
    QUIET_LOGGERS,
    SeldomRepeated,
    describe_outcome,
    quiet_logging,
    title,
)
from helpers.federated.messages import FinishOrder, Order, RoundOrder, StartOrder, TrainOrder
from helpers.federated.sites.messages import (
    FinishSitesOrder,
    OfferOrder,
    RecordOrder,
    ScoreOrder,
    SiteRoundOrder,
    SiteTrainOrder,
)

FACTS: dict[str, Any] = {
    "run": "first", "session": "s", "settings": {}, "data_digest": "", "versions": {}, "attempt": 0,
}  # fmt: skip
ROUND: dict[str, Any] = {
    **FACTS, "round": 3, "clients": [0, 1], "weights": {}, "sent_at": 0.0, "num_clients": 2,
}  # fmt: skip
SCORE: dict[str, Any] = {**FACTS, "round": 3, "client": 1, "weights": {}, "threshold": 0.5, "site": "north"}
TRAIN = TrainOrder(**ROUND, client=1)
TRAINED = {"num_examples": 48, "seconds": 1.234, "train_loss": 0.6123, "status": "ok"}
TESTED = {"test": {"round": 2, "num_examples": 1, "roc_auc": None}}
OUTCOMES: list[tuple[Order, dict[str, Any], str]] = [
    (TRAIN, TRAINED, "round 3, client 1: trained on 48 images in 1.2 s (loss 0.612)"),
    (
        SiteTrainOrder(**ROUND, client=1, site="north"),
        TRAINED | {"status": "partial", "num_examples": 1, "train_loss": None},
        "round 3, site north: trained on 1 image in 1.2 s, stopped early (loss undefined)",
    ),
    (
        RoundOrder(**ROUND),
        {"metrics": {"num_clients": 3, "roc_auc": 0.7104}},
        "round 3: aggregated 3 clients, validation AUC 0.710",
    ),
    (
        SiteRoundOrder(**ROUND, sites=[]),
        {"row": {"num_clients": 1}},
        "round 3: aggregated 1 client, to be scored by the sites",
    ),
    (
        RecordOrder(**ROUND, sites=[], averaged={}, scores=[]),
        {"metrics": {"num_clients": 3, "num_scored": 2, "roc_auc": None}},
        "round 3: recorded the scores of 2 sites, validation AUC undefined",
    ),
    (
        ScoreOrder(**SCORE, split="val"),
        {"tally": {"confusion": [[3, 1], [0, 2]]}},
        "round 3, site north: scored 6 validation images",
    ),
    (
        StartOrder(**FACTS, resume=False),
        {"state": {"round": 0}},
        "start of run first: ready, next is round 1",
    ),
    (
        StartOrder(**FACTS, resume=True),
        {"state": {"round": 4}},
        "start of run first: resumed, next is round 5",
    ),
    (OfferOrder(**FACTS), {"round": 2}, "offer of run first: model of round 2 stored for the sites"),
    (FinishOrder(**FACTS), TESTED, "finish of run first: model of round 2 tested on 1 image, AUC undefined"),
    (
        FinishSitesOrder(**FACTS, round=2, clients=[], sites=[], scores={}, threshold=0.5),
        {"test": {"round": 2, "num_examples": 40, "roc_auc": 1.0}},
        "finish of run first: model of round 2 tested on 40 images, AUC 1.000",
    ),
    (TRAIN, {}, "round 3, client 1: done"),
]


@pytest.mark.parametrize(("order", "answer", "line"), OUTCOMES, ids=[line for *_, line in OUTCOMES])
def test_an_outcome_is_one_line(order: Order, answer: dict[str, Any], line: str) -> None:
    assert describe_outcome(order, answer) == line
    assert line.startswith(title(order))


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """A logger as Celery sets it up, with the names of its children; levels are restored."""
    logger = logging.Logger("root of a worker")
    logger.addHandler(logging.StreamHandler(io.StringIO()))
    levels = {name: logging.getLogger(name).level for name in QUIET_LOGGERS}
    yield logger
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def written(logger: logging.Logger, level: int) -> str:
    """What a logger writes about an error in a task, after `quiet_logging` at this level."""
    quiet_logging(logger, level, LOG_FORMAT, colorize=False)
    (handler,) = logger.handlers
    assert isinstance(handler, logging.StreamHandler)
    try:
        raise ValueError("no such\nfolder")
    except ValueError:
        logger.exception("%s: failed", "round 1, client 0")
    logger.info("first\nsecond")
    return str(handler.stream.getvalue())


def test_an_error_is_one_line_at_info_level(root: logging.Logger) -> None:
    lines = written(root, logging.INFO).splitlines()
    assert lines[0].endswith(": ERROR] round 1, client 0: failed: ValueError: no such folder")
    assert lines[1].endswith(": INFO] first")  # lines that are not errors stay as they are
    assert all(logging.getLogger(name).level == logging.WARNING for name in QUIET_LOGGERS)


def test_a_message_that_quotes_its_exception_does_so_once(root: logging.Logger) -> None:
    quiet_logging(root, logging.INFO, LOG_FORMAT, colorize=False)
    record = root.makeRecord("", logging.ERROR, "", 0, "raised unexpected: ValueError('x1')", (), None)
    error = ValueError("x1")
    record.exc_info = (ValueError, error, None)
    assert root.handlers[0].format(record).endswith("raised unexpected: ValueError('x1')")
    assert record.exc_info[1] is error  # other handlers still get the traceback


def test_debug_level_keeps_tracebacks_and_celerys_lines(root: logging.Logger) -> None:
    assert "Traceback (most recent call last)" in written(root, logging.DEBUG)
    assert all(logging.getLogger(name).level != logging.WARNING for name in QUIET_LOGGERS)


def test_the_same_error_is_repeated_after_ten_seconds_only() -> None:
    seldom = SeldomRepeated()

    def passes(text: str, at: float, level: int = logging.ERROR) -> bool:
        record = logging.LogRecord("x", level, "", 0, text, None, None)
        record.created = at
        return seldom.filter(record)

    assert [passes("Cannot connect", at) for at in (0.0, 0.5, 9.0, 10.0, 10.5)] == [
        True,
        False,
        False,
        True,
        False,
    ]
    assert passes("Another error", 10.6)
    assert passes("round 1: done", 11.0, logging.INFO)
    assert passes("round 1: done", 11.1, logging.INFO)

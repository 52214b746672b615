"""Worker log: one line per task and per error, without Celery's arguments; everything at debug level."""

import copy
import logging
from typing import Any

from celery.utils.log import ColorFormatter

from helpers.federated.messages import FinishOrder, Order, RoundOrder, StartOrder, TrainOrder
from helpers.federated.sites.messages import FinishSitesOrder, OfferOrder, RecordOrder, ScoreOrder

LOG_FORMAT = "[%(asctime)s: %(levelname)s] %(message)s"
"""Celery's format without the name of the process, as a solo worker has one only."""
QUIET_LOGGERS = (
    "celery.worker.strategy", "celery.app.trace", "celery.worker.consumer.mingle",
    "celery.worker.consumer.gossip", "absl",
)  # fmt: skip
"""Loggers that print every task's arguments and result, or remarks, at info level."""
REPEATED_AFTER_S = 10.0
SPLITS = {"val": "validation", "test": "test"}


def quiet_logging(logger: logging.Logger, level: int, log_format: str, colorize: bool) -> None:
    """Make a worker's log brief, unless it runs at debug level.

    Args:
        logger: the root logger, as Celery has set it up.
        level: what `--loglevel` says.
        log_format: of a line.
        colorize: whether to color lines by level.
    """
    if level <= logging.DEBUG:
        return
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    for handler in logger.handlers:
        handler.setFormatter(OneLineFormatter(log_format, colorize))
        handler.addFilter(SeldomRepeated())


class SeldomRepeated(logging.Filter):
    """Filter of the same warning or error again within 10 s, as while Redis refuses connections."""

    def __init__(self) -> None:
        super().__init__()
        self._passed_at: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        text, now = record.getMessage(), record.created
        self._passed_at = {said: at for said, at in self._passed_at.items() if now - at < REPEATED_AFTER_S}
        return self._passed_at.setdefault(text, now) == now


class OneLineFormatter(ColorFormatter):  # type: ignore[misc]
    """Formatter that writes errors in one line, with the exception in place of its traceback."""

    def format(self, record: logging.LogRecord) -> str:
        if record.levelno >= logging.ERROR or record.exc_info:
            record = copy.copy(record)
            record.msg, record.args = _one_line(record), None
            record.exc_info = record.exc_text = record.stack_info = None
        return str(super().format(record))


def _one_line(record: logging.LogRecord) -> str:
    message = " ".join(record.getMessage().split())
    error = record.exc_info[1] if record.exc_info else None
    if error is None or str(error) in message:
        return message
    return " ".join(f"{message}: {type(error).__name__}: {error}".split())


def title(order: Order) -> str:
    """Return what an order is about: `round 3, client 1`, `round 3, site north`, `round 3`, or its label."""
    match order:
        case TrainOrder(site=site) | ScoreOrder(site=site) if site:
            return f"round {order.round}, site {site}"
        case TrainOrder():
            return order.label
        case RoundOrder():
            return f"round {order.round}"
        case _:
            return order.label


def describe_outcome(order: Order, answer: dict[str, Any]) -> str:
    """Return one line about an order that was carried out, such as `round 3: aggregated 2 clients …`."""
    return f"{title(order)}: {_outcome(order, answer)}"


def _outcome(order: Order, answer: dict[str, Any]) -> str:
    match order, answer:
        case TrainOrder(), {"num_examples": images, "seconds": seconds, "train_loss": loss, "status": status}:
            early = ", stopped early" if status == "partial" else ""
            return f"trained on {_count(images, 'image')} in {seconds:.1f} s{early} (loss {_number(loss)})"
        case RecordOrder(), {"metrics": {"roc_auc": auc, "num_scored": sites}}:
            return f"recorded the scores of {_count(sites, 'site')}, validation AUC {_number(auc)}"
        case RoundOrder(), {"metrics": {"roc_auc": auc, "num_clients": clients}}:
            return f"aggregated {_count(clients, 'client')}, validation AUC {_number(auc)}"
        case RoundOrder(), {"row": {"num_clients": clients}}:
            return f"aggregated {_count(clients, 'client')}, to be scored by the sites"
        case ScoreOrder(split=split), {"tally": {"confusion": confusion}}:
            return f"scored {_count(sum(map(sum, confusion)), f'{SPLITS[split]} image')}"
        case StartOrder(resume=resume), {"state": {"round": last}}:
            return f"{'resumed' if resume else 'ready'}, next is round {last + 1}"
        case OfferOrder(), {"round": number}:
            return f"model of round {number} stored for the sites"
        case FinishOrder() | FinishSitesOrder(), {
            "test": {"round": number, "num_examples": images, "roc_auc": auc}
        }:
            return f"model of round {number} tested on {_count(images, 'image')}, AUC {_number(auc)}"
        case _:
            return "done"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"

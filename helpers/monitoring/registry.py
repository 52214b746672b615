"""Registry of observers: the built-in ones by name, optional ones, and users' own classes named in OBSERVERS.

`OBSERVERS=package.module:Class` constructs `Class(config, folders)` with the run's Config and RunFolders
(`folders.metrics` is metrics/<run>, `folders.models` is models/<run>). Derive the class from
`helpers.federated.observers.Observer` and override the methods you need.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from helpers.cluster.mailbox import OPEN_LETTERS, Envelopes
from helpers.cluster.run_feed import RunFeed
from helpers.federated.observers import EVENTS, Observer, Observers
from helpers.global_config import Config
from helpers.monitoring.feed_observer import FeedObserver
from helpers.monitoring.report_observer import ReportObserver
from helpers.monitoring.tensorboard import TensorBoardObserver
from helpers.monitoring.terminal import TerminalObserver
from helpers.reporting.report import write_report
from helpers.run_records.files import RunFolders
from helpers.settings.errors import ConfigError
from helpers.settings.own_code import REFERENCE, import_own, in_one_line

FORM = "package.module:Class"
EVERY_RUN = ("terminal", "report", "feed")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ObservedRun:
    """What the built-in observers are made from.

    Attributes:
        config: the run's settings.
        folders: the run's folders.
        console: the terminal.
        redis: connection to Redis.
        examples: returns augmented training images, each (H, W, C).
        envelopes: close the entries of the feed.
    """

    config: Config
    folders: RunFolders
    console: Console
    redis: Any
    examples: Callable[[], Iterable[NDArray[np.generic]]]
    envelopes: Envelopes


def _terminal(run: ObservedRun) -> Observer:
    return TerminalObserver(run.console, run.config.TRAIN_BATCH_SIZE, run.config.RECIPE)


def _report(run: ObservedRun) -> Observer:
    config = run.config
    audit = None if config.DATA_AT == "sites" else config.PREPROCESSED_DIR / "audit.csv"
    write = partial(write_report, config.METRICS_DIR, config.MODELS_DIR, run.folders.metrics.name, audit)
    return ReportObserver(lambda is_running: write(is_running=is_running))


def _feed(run: ObservedRun) -> Observer:
    return FeedObserver(RunFeed(run.redis, run.folders.metrics.name, run.envelopes))


def _tensorboard(run: ObservedRun) -> Observer:
    folder = run.folders.metrics / "tensorboard"
    return TensorBoardObserver(folder, run.config.for_run(), run.examples())


BUILT_IN: dict[str, Callable[[ObservedRun], Observer]] = {
    "terminal": _terminal,
    "report": _report,
    "feed": _feed,
    "tensorboard": _tensorboard,
}

OPTIONAL = {"mlflow": "helpers.monitoring.mlflow_observer:MLflowObserver"}
"""Observers that need further packages. They are made, and their errors are reported, as those of users."""


def make_observers(
    config: Config,
    folders: RunFolders,
    console: Console,
    redis: Any,
    *,
    examples: Callable[[], Iterable[NDArray[np.generic]]] = tuple,
    with_tensorboard: bool = False,
    envelopes: Envelopes = OPEN_LETTERS,
) -> Observer:
    """Return the observers of a run as one: EVERY_RUN, those of OBSERVERS and, if asked, TensorBoard.

    Args:
        config, folders: of the run.
        console: the terminal.
        redis: connection to Redis.
        examples: returns augmented training images for TensorBoard, each (H, W, C); called only if needed.
        with_tensorboard: as `OBSERVERS=tensorboard`.
        envelopes: close the entries of the feed in Redis.

    Raises:
        ConfigError: an observer is unknown, or cannot be imported or constructed.
    """
    run = ObservedRun(config, folders, console, redis, examples, envelopes)
    names = dict.fromkeys((*EVERY_RUN, *["tensorboard"] * with_tensorboard, *config.OBSERVERS))
    observers: list[Observer] = [BUILT_IN[name](run) for name in names if name in BUILT_IN]
    notice = observers[0].notice
    others = [OPTIONAL.get(name, name) for name in names if name not in BUILT_IN]
    custom = [_CustomObserver(name, config, folders, notice) for name in others]
    return Observers([*observers, *custom])


class _CustomObserver(Observer):
    """A user's own observer. Its first error is reported in one line; no error ends the run."""

    def __init__(
        self, reference: str, config: Config, folders: RunFolders, notice: Callable[[str], None]
    ) -> None:
        self._reference = reference
        self._notice = notice
        self._has_failed = False
        observer = _constructed(reference, config, folders)
        for event in EVENTS:  # a class that is not derived from Observer may lack some
            if method := getattr(observer, event, None):
                setattr(self, event, partial(self._call, event, method))

    def _call(self, event: str, method: Callable[..., object], *arguments: Any) -> None:
        try:
            method(*arguments)
        except (Exception, SystemExit) as error:  # a user's class may raise anything
            logger.debug("observer %s", self._reference, exc_info=True)
            if not self._has_failed:
                self._notice(
                    f"observer {self._reference} failed in {event}: {in_one_line(error)}; "
                    "the run continues, and further errors of this observer are not shown"
                )
            self._has_failed = True


def _constructed(reference: str, config: Config, folders: RunFolders) -> Any:
    """Import a user's class and construct it.

    Raises:
        ConfigError: the name, the import or the construction is wrong.
    """
    if not REFERENCE.fullmatch(reference):
        known = ", ".join((*BUILT_IN, *OPTIONAL))
        raise ConfigError(f"OBSERVERS: received {reference!r}; use one of {known}, or {FORM}")
    own = import_own("OBSERVERS", reference)
    try:
        return own(config, folders)
    except ConfigError:
        raise
    except Exception as error:  # a user's class may raise anything
        raise ConfigError(
            f"OBSERVERS: {reference} failed: {in_one_line(error)}; {own.__name__}(config, folders) must "
            "return an observer"
        ) from error

"""What a task needs once it has its order: config, data, model and store of this worker, and the round's
clock.
"""

import functools
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from celery_app import worker_session
from helpers.cluster import keys
from helpers.cluster.errors import WorkerUnable
from helpers.cluster.run_clock import seconds_since_dispatch
from helpers.federated.client_state import ClientStatePlan
from helpers.federated.logit_adjustment import prior_logits
from helpers.federated.messages import Order, RoundOrder, TrainOrder
from helpers.global_config import Config
from helpers.model_instance_helper import ModelInstance, model_for
from helpers.run_records.files import RunFolders
from helpers.settings.errors import UserError
from helpers.weight_store.store import WeightStore
from preprocessing.feed.partitioning import count_classes, weights_of_classes
from preprocessing.feed.prepared_data import PreparedData

RESERVE = 0.1
"""Fraction of the time left at the start that is kept for predicting and sending the update, …"""
LEAST_RESERVE_S = 2.0
"""… but at least this many seconds, unless that is more than half of the time."""
MOST_ATTEMPTS = 10
"""More than the orchestrator makes of a job that is lost or fails."""


class DataDiffersError(WorkerUnable):
    """This worker's prepared data differs from the run's."""


class StoppedError(Exception):
    """A training ended early and its update does not count."""


@dataclass(frozen=True)
class RunContext:
    """What a worker works with for one run.

    Attributes:
        order: as received.
        config: the run's settings with this machine's own.
        own_data: this machine's prepared images, the same as the orchestrator's or, at a site, the site's.
            Where images stay at the sites, the test set of TEST_DIR elsewhere, or None without one.
        instance: the model, kept from task to task; it has the run's PRECISION where a client trains.
        store: the weight store.
        folders: folders of the run's records.
        worker: name of this worker.
    """

    order: Order
    config: Config
    own_data: PreparedData | None
    instance: ModelInstance
    store: WeightStore
    folders: RunFolders
    worker: str

    @classmethod
    def of(cls, order: Order) -> "RunContext":
        """Return the context of an order.

        Raises:
            WorkerUnable: the data does not exist or differs from the run's, or a local setting is wrong.
        """
        session = worker_session()
        try:
            config = Config.from_run(order.settings)
            data = _data_of(order, config, session.name)
        except (UserError, OSError) as error:
            raise WorkerUnable(f"{session.name}: {error}") from None
        is_training = isinstance(order, TrainOrder)
        if isinstance(order, RoundOrder) and order.round <= config.HEAD_ROUNDS:
            config = _in_head_rounds(config, is_training)
        # What is evaluated is what is saved: float32, whatever clients compute in.
        computing = config if is_training or config.PRECISION == "float32" else _in_float32(config)
        folders = RunFolders.of(config, order.run)
        store = session.store_of_sites if config.DATA_AT == "sites" else session.store
        return cls(order, config, data, _model_of(computing), store, folders, session.name)

    @property
    def data(self) -> PreparedData:
        """The prepared images.

        Raises:
            DataDiffersError: this worker has none, because the images of the run stay at its sites.
        """
        if self.own_data is None:
            raise DataDiffersError(f"{self.worker} has no images: those of this run stay at its sites")
        return self.own_data

    @property
    def state_plan(self) -> ClientStatePlan | None:
        """The plan of the clients' states; None where they send whole weights and remember nothing."""
        return _state_plan(self.config, self.instance)

    @property
    def is_shared(self) -> tuple[bool, ...]:
        """For each array of the model, whether gradients change it and all clients have it in common."""
        plan, trainable = self.state_plan, self.instance.trainable
        return trainable if plan is None else plan.shared(trainable)

    def class_corrections(self, rows: np.ndarray) -> dict[str, Any]:
        """Return arguments of `train_locally` that correct the class frequencies of a client's rows."""
        if self.config.CLASS_WEIGHT == "none" and not self.config.LOGIT_ADJUSTMENT:
            return {}
        if self.config.LOGIT_ADJUSTMENT:
            return {"logit_shifts": prior_logits(count_classes(self.data, self.config, rows))}
        return {"class_weight": weights_of_classes(self.data, self.config, rows)}

    def key(self, *parts: str | int, site: str | None = None) -> str:
        """Return a key of this run and session in the weight store: of `site`, or of the order's."""
        return keys.of_session(self.order.run, self.order.session, *parts, site=site or self.order.site)


def keys_of_weights(context: RunContext, round_number: int) -> list[str]:
    """Return where the global weights after a round may be: each attempt has a place of its own."""
    kinds = ("weights", "recorded")
    return [context.key(kind, round_number, attempt) for kind in kinds for attempt in range(MOST_ATTEMPTS)]


_model_of = functools.lru_cache(maxsize=2)(model_for)


def _in_head_rounds(config: Config, is_training: bool) -> Config:
    """Return the settings of rounds that train the head alone: the state of its optimizer would not fit."""
    return config.model_copy(update={"TRAIN_BODY": not is_training, "OPTIMIZER_STATE": "reset"})


def _in_float32(config: Config) -> Config:
    return config.model_copy(update={"PRECISION": "float32"})


@functools.lru_cache(maxsize=4)
def _state_plan(config: Config, instance: ModelInstance) -> ClientStatePlan | None:
    is_private = [config.BATCH_NORM == "local" and norm for norm in instance.normalizing]
    optimizer = instance.optimizer_schema if config.OPTIMIZER_STATE == "keep" else ()
    keeps_arrays = config.strategy.client_state or any(is_private) or optimizer
    if config.UPDATE_DTYPE == "float32" and not keeps_arrays and not config.SECURE_AGGREGATION:
        return None
    is_shared = [trains and not own for trains, own in zip(instance.trainable, is_private, strict=True)]
    return ClientStatePlan.of(
        instance.schema, is_shared, is_private, config.UPDATE_DTYPE, config.strategy, optimizer
    )


def _data_of(order: Order, config: Config, worker: str) -> PreparedData | None:
    folder: Path | None = config.PREPROCESSED_DIR
    whose = "the orchestrator's; prepare the same images with the same settings on both"
    if order.site:
        whose = f"those with which site {order.site} joined the run; restart its workers"
    elif config.DATA_AT == "sites":
        folder = Path(config.TEST_DIR) if config.TEST_DIR else None
        whose = "the orchestrator's; TEST_DIR must be the same test set on both"
    data = PreparedData.find(folder, order.data_digest) if folder and not order.site else None
    if folder and data is None:
        data = PreparedData.open(folder)
    if order.data_digest != (data.digest if data else ""):
        what = f"{folder}/manifest.json on {worker}" if folder else f"{worker} has no TEST_DIR: this"
        raise DataDiffersError(f"{what} differs from {whose}")
    if data is not None:
        data.check_arrays()
    return data


class RoundClock:
    """Seconds since a round was dispatched, on the run's clock.

    Attributes:
        started_at: when this object was made.
    """

    def __init__(self, order: RoundOrder) -> None:
        self.started_at = seconds_since_dispatch(worker_session().client, order)
        self._made = time.monotonic()

    def now(self) -> float:
        """Return the seconds since the dispatch."""
        return self.started_at + time.monotonic() - self._made


class StopCondition:
    """Decides after every batch whether a training goes on, and reports its progress with the heartbeat.

    Args:
        order: of the training.
        clock: of its round.
        config: of the run.
        num_batches: steps of a whole training.
    """

    def __init__(self, order: TrainOrder, clock: RoundClock, config: Config, num_batches: int) -> None:
        self.num_batches = num_batches
        self._order = order
        self._clock = clock
        self._config = config
        self._session = worker_session()
        time_left = config.ROUND_DEADLINE_S - clock.started_at
        reserve = min(time_left / 2, max(RESERVE * time_left, LEAST_RESERVE_S))
        self._stop_at = config.ROUND_DEADLINE_S - reserve
        self._closed = False

    def go_on(self, num_batches: int) -> bool:
        """Return whether to train another batch after `num_batches`."""
        was_shown = self._session.heartbeat.show_batch(num_batches, self.num_batches)
        if was_shown and not self._session.still_expects(self._order):
            self._closed = True
        return not self._closed and self._clock.now() < self._stop_at

    def check(self, num_batches: int) -> None:
        """Refuse the update of a training that stopped early, after `num_batches`, if it cannot count.

        Raises:
            StoppedError: the round was closed, or partial updates do not count.
            OrderRefused: the site's policy does not allow it.
        """
        if self._closed:
            raise StoppedError("the round was closed before the training ended")
        if not self._config.PARTIAL_UPDATES:
            raise StoppedError(f"only {num_batches} of {self.num_batches} batches before the deadline")
        self._session.check_early_stop(num_batches * self._config.TRAIN_BATCH_SIZE)

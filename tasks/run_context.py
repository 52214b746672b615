"""What every task needs once it knows its order: config, data, model and store of this worker."""

from dataclasses import dataclass
from pathlib import Path

from celery_app import worker_session
from helpers.cluster import keys
from helpers.federated.client_state import ClientStatePlan
from helpers.federated.messages import Order, TrainOrder
from helpers.global_config import Config
from helpers.model_instance_helper import ModelInstance, model_for
from helpers.run_records.files import RunFolders
from helpers.weight_store.store import WeightStore
from preprocessing.feed.prepared_data import PreparedData


class DataDiffersError(Exception):
    """This worker's prepared data is not the run's."""


@dataclass(frozen=True)
class RunContext:
    """What a worker works with for one run.

    Attributes:
        order: as it was received.
        config: the run's settings with this machine's own.
        own_data: this machine's prepared arrays, the same as the orchestrator's or, at a site, the site's;
            elsewhere in a run of sites the test set of TEST_DIR, None without one.
        instance: the model, kept from task to task; of the run's PRECISION where a client trains.
        store: where weights lie.
        folders: where the run's records lie.
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
        """Gather the context of an order.

        Raises:
            UserError: the data is not there or a local setting is wrong.
            DataDiffersError: the data is another than the run's.
        """
        session = worker_session()
        config = Config.from_run(order.settings)
        data = _data_of(order, config, session.name)
        folders = RunFolders.of(config, order.run)
        # What is evaluated is what will be saved: float32, whatever clients compute in.
        computing = {} if isinstance(order, TrainOrder) else {"PRECISION": "float32"}
        instance = model_for(config.model_copy(update=computing))
        return cls(order, config, data, instance, session.store, folders, session.name)

    @property
    def data(self) -> PreparedData:
        """The prepared arrays.

        Raises:
            DataDiffersError: there are none here, the images are at the sites.
        """
        if self.own_data is None:
            raise DataDiffersError(f"{self.worker} has no images: those of this run are at its sites")
        return self.own_data

    @property
    def memory(self) -> ClientStatePlan:
        """What the run's clients remember."""
        config, instance = self.config, self.instance
        return ClientStatePlan.of(
            instance.schema,
            instance.trainable,
            instance.normalizing,
            update_dtype=config.UPDATE_DTYPE,
            strategy=config.STRATEGY,
            batch_norm=config.BATCH_NORM,
        )

    def key(self, *parts: str | int) -> str:
        """A key of this run and session in the weight store."""
        return keys.of_session(self.order.run, self.order.session, *parts)


def _data_of(order: Order, config: Config, worker: str) -> PreparedData | None:
    folder: Path | None = config.PREPROCESSED_DIR
    whose = "the orchestrator's; prepare the same images with the same settings on both"
    if order.site:
        whose = f"those with which site {order.site} joined the run; restart its workers"
    elif config.DATA_AT == "sites":
        folder = Path(config.TEST_DIR) if config.TEST_DIR else None
        whose = "the orchestrator's; TEST_DIR must be the same test set on both"
    if folder and not order.site and (data := PreparedData.find(folder, order.data_digest)):
        return data
    data = PreparedData.open(folder) if folder else None
    if order.data_digest != (data.digest if data else ""):
        what = f"{folder}/manifest.json on {worker}" if folder else f"{worker} has no TEST_DIR: this"
        raise DataDiffersError(f"{what} differs from {whose}")
    return data

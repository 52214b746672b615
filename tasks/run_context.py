"""What every task needs once it knows its order: config, data, model and store of this worker."""

from dataclasses import dataclass

from celery_app import worker_session
from helpers.cluster import keys
from helpers.federated.memory import MemoryPlan
from helpers.federated.messages import Order
from helpers.global_config import Config
from helpers.model_instance_helper import ModelInstance, model_for
from helpers.run_records.files import RunFolders
from helpers.weight_store.store import WeightStore
from preprocessing.prepared_data import MANIFEST, PreparedData


class DataDiffersError(Exception):
    """This worker's prepared data is not the run's."""


@dataclass(frozen=True)
class RunContext:
    """What a worker works with for one run.

    Attributes:
        order: as it was received.
        config: the run's settings with this machine's own.
        own_data: this machine's prepared arrays, the same as the orchestrator's or, at a site, the site's;
            where the images are at the sites, a test set of our own, None without one.
        instance: the model, kept from task to task.
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
        data = _test_set(config) if _is_apart(config, order) else _data_of(order, config, session.name)
        folders = RunFolders.of(config, order.run)
        return cls(order, config, data, model_for(config), session.store, folders, session.name)

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
    def memory(self) -> MemoryPlan:
        """What the run's clients remember."""
        config, instance = self.config, self.instance
        return MemoryPlan.of(
            instance.schema,
            instance.trainable,
            instance.normalising,
            update_dtype=config.UPDATE_DTYPE,
            strategy=config.STRATEGY,
            batch_norm=config.BATCH_NORM,
        )

    def key(self, *parts: str | int) -> str:
        """A key of this run and session in the weight store."""
        return keys.of_session(self.order.run, self.order.session, *parts)


def _is_apart(config: Config, order: Order) -> bool:
    """Whether the images of the run are elsewhere, at its sites."""
    return config.DATA_AT == "sites" and not order.site


def _data_of(order: Order, config: Config, worker: str) -> PreparedData:
    data = PreparedData.open(config.PREPROCESSED_DIR)
    if data.digest != order.data_digest:
        whose = f"those with which site {order.site} joined the run; restart its workers" if order.site else (
            "the orchestrator's; prepare the same images with the same settings on both"
        )  # fmt: skip
        raise DataDiffersError(f"{config.PREPROCESSED_DIR}/manifest.json on {worker} differs from {whose}")
    return data


def _test_set(config: Config) -> PreparedData | None:
    """The prepared images of a machine that is no site; their test split tests the best model."""
    if not (config.PREPROCESSED_DIR / MANIFEST).exists():
        return None
    data = PreparedData.open(config.PREPROCESSED_DIR)
    size = data.images("test").shape[1:3]
    if size != config.INPUT_SHAPE:
        raise DataDiffersError(
            f"{config.PREPROCESSED_DIR}: the test images are {size}, INPUT_SHAPE is {config.INPUT_SHAPE}; "
            "prepare them at that size, or move them away to have the sites test the model"
        )
    return data

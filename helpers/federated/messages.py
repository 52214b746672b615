"""Messages between orchestrator and workers: ids, numbers and references, never arrays.

Every message is a frozen dataclass with `to_message()` (a JSON-ready dict) and `from_message()`.
"""

import functools
import re
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar, Self

from helpers.federated.weights import ArraySpec, Schema

States = dict[str, dict[str, Any]]
"""References (`Reference.to_short()`) to clients' states by client id, as text for JSON, and under SERVER to
what all clients of the next round receive in addition to the weights.
"""
SERVER = "server"
TRAIN_QUEUE = "train"
AGGREGATE_QUEUE = "aggregate"

RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""Allowed names of runs: a name becomes that of folders and keys, so it must not lead out of them."""


class MessageError(ValueError):
    """A message with a missing, unknown or mistyped field; its text is cut, as it may quote the message."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason[:500])


@dataclass(frozen=True)
class Message:
    """Base of all messages."""

    def to_message(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_message(cls, data: Any) -> Self:
        """Rebuild from `to_message()`.

        Raises:
            MessageError: `data` is not a dict with exactly the fields of this class.
        """
        names = cls._field_names()
        if not isinstance(data, dict) or set(data) != names:
            got = sorted(data, key=str) if isinstance(data, dict) else type(data).__name__
            raise MessageError(f"{cls.__name__}: expected the fields {sorted(names)}, received {got}")
        return cls(**data)

    @classmethod
    @functools.cache
    def _field_names(cls) -> set[str]:
        return {field.name for field in fields(cls)}


@dataclass(frozen=True)
class Reference(Message):
    """Where arrays are stored in the weight store, and what they must be.

    Attributes:
        key, length: its name in the store, and its bytes.
        sha256: hex digest of the bytes (the sha256 of the sha256s of their pieces).
        schema: names, dtypes and shapes of the arrays.
    """

    key: str
    length: int
    sha256: str
    schema: Schema

    @classmethod
    def from_message(cls, data: Any) -> Self:
        reference = super().from_message(data)
        try:
            schema = tuple(
                ArraySpec(str(spec["name"]), str(spec["dtype"]), tuple(int(size) for size in spec["shape"]))
                for spec in data["schema"]
            )
            return cls(str(reference.key), int(reference.length), str(reference.sha256), schema)
        except (TypeError, KeyError, ValueError, OverflowError) as error:
            raise MessageError(f"Reference: not understood: {error}") from None

    def to_short(self) -> dict[str, Any]:
        """Return the message without the schema, for a receiver that knows it."""
        return {"key": self.key, "length": self.length, "sha256": self.sha256}

    @classmethod
    def from_short(cls, data: Any, schema: Schema) -> Self:
        """Rebuild from `to_short()`.

        Raises:
            MessageError: `data` is not such a message.
        """
        if not isinstance(data, dict):
            raise MessageError(f"Reference: expected a table, received {type(data).__name__}")
        return cls.from_message({**data, "schema": [asdict(spec) for spec in schema]})


@dataclass(frozen=True)
class Order(Message):
    """Base of what the orchestrator asks of a task.

    Attributes:
        run: name of the run.
        session: id of the orchestrator process; orders of an earlier one have no effect.
        settings: `Config.for_run()`.
        data_digest: sha256 of the manifest of the preprocessed data.
        versions: of the code and of the packages that matter; a worker with others refuses.
        attempt: 0, 1, …; only the answer of the expected attempt counts.
        site: name of the only site that may do it; empty: any worker that does not belong to a site.
        origin: host and folder of the orchestrator's checkout, `host:/folder`.
        serial: larger than that of every earlier order of the run; 0 where clients are not sites.
        expires_at: when a member of a deployment refuses it, seconds since the epoch.
        task: name of the Celery task that runs it.
        writes: whether the task changes the run's folders, so that it takes the run over first.
        queue: where it is sent, unless it is for a site.
    """

    task: ClassVar[str]
    writes: ClassVar[bool] = True
    queue: ClassVar[str] = AGGREGATE_QUEUE

    run: str
    session: str
    settings: dict[str, Any]
    data_digest: str
    versions: dict[str, str]
    attempt: int
    site: str = field(default="", kw_only=True)
    origin: str = field(default="", kw_only=True)
    serial: int = field(default=0, kw_only=True)
    expires_at: float = field(default=0.0, kw_only=True)

    def to_message(self) -> dict[str, Any]:
        """Add the task's name, as Celery's own is not signed, and the job's, so that a worker of another
        version can say which job it refuses.
        """
        return {**vars(self), "job": self.job, "task": self.task}

    @classmethod
    def from_message(cls, data: Any) -> Self:
        if isinstance(data, dict):
            if (task := data.get("task", cls.task)) != cls.task:
                raise MessageError(f"{cls.__name__}: an order for {ascii(task)[:100]}, not {cls.task}")
            data = {name: value for name, value in data.items() if name not in ("job", "task")}
        order = super().from_message(data)
        if not isinstance(order.run, str) or not RUN_NAME.fullmatch(order.run):
            raise MessageError(f"{cls.__name__}: {order.run!r} is not a run's name")
        if not isinstance(order.settings, dict) or not isinstance(order.origin, str):
            raise MessageError(f"{cls.__name__}: settings are not a table, or the origin is not text")
        if type(order.serial) is not int or type(order.expires_at) not in (float, int):
            raise MessageError(f"{cls.__name__}: serial or expires_at is not a number")
        return order

    @property
    def job(self) -> str:
        """Name of the job on the job board, the same for all its attempts."""
        raise NotImplementedError

    @property
    def label(self) -> str:
        """Name of the job in messages to people."""
        return f"{self.job} of run {self.run}"


@dataclass(frozen=True)
class StartOrder(Order):
    """Prepare a run: from new initial weights, or from its last finished round.

    Attributes:
        resume: continue the run after its last finished round.
        overwrite: replace an earlier run of this name.
    """

    task = "tasks.start_run"

    resume: bool
    overwrite: bool = False

    @property
    def job(self) -> str:
        return "start"


@dataclass(frozen=True)
class FinishOrder(Order):
    """Test the best model and write the models of a run."""

    task = "tasks.finish_run"

    @property
    def job(self) -> str:
        return "finish"


@dataclass(frozen=True)
class RoundOrder(Order):
    """Aggregate a round.

    Attributes:
        round: 1, 2, …
        clients: ids of the participants, in the order their updates are summed.
        weights: Reference of the global weights at the start of the round, as a message.
        sent_at: when the round was dispatched, seconds on the run's clock (`helpers.cluster.run_clock`).
        states: of clients since the last round in which their update counted, and of the server.
        num_clients: number of clients the training rows are divided among; all tasks of a round agree on it.
    """

    task = "tasks.aggregate"

    round: int
    clients: list[int]
    weights: dict[str, Any]
    sent_at: float
    states: States = field(default_factory=dict, kw_only=True)
    num_clients: int = field(kw_only=True)

    @property
    def job(self) -> str:
        return f"aggregate:{self.round}"

    @property
    def label(self) -> str:
        return f"round {self.round}, aggregation"


@dataclass(frozen=True)
class TrainOrder(RoundOrder):
    """Train one client in a round; it does not name the other clients, so that messages stay small."""

    task = "tasks.train"
    writes = False
    queue = TRAIN_QUEUE

    client: int

    @classmethod
    def of(cls, order: RoundOrder, client: int) -> Self:
        """Make the order for one client of a round."""
        states = {name: order.states[name] for name in (str(client), SERVER) if name in order.states}
        return cls(**{**vars(order), "clients": [client], "states": states, "client": client})

    @property
    def job(self) -> str:
        return f"train:{self.round}:{self.client}"

    @property
    def label(self) -> str:
        return f"round {self.round}, client {self.client}"

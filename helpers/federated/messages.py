"""What orchestrator and workers say to each other: ids, numbers and references, never arrays.

Every message is a frozen dataclass with `to_message()` (a JSON-ready dict) and `from_message()`.
"""

import re
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Self

from helpers.federated.weights import ArraySpec, Schema

States = dict[str, dict[str, Any]]
"""Where lies what is remembered: `Reference.to_short()` by client id (as text, JSON has no other keys), and
under SERVER what all clients of the next round are told beside the weights."""
SERVER = "server"

RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""What a run may be called: the name becomes that of folders and keys, so it leads nowhere else."""


class MessageError(ValueError):
    """A message lacks a field, has one too many, or one of the wrong type; cut, as it may quote it."""

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
            MessageError: `data` is no dict with exactly the fields of this class.
        """
        names = {field.name for field in fields(cls)}
        if not isinstance(data, dict) or set(data) != names:
            got = sorted(data, key=str) if isinstance(data, dict) else type(data).__name__
            raise MessageError(f"{cls.__name__}: expected the fields {sorted(names)}, received {got}")
        return cls(**data)


@dataclass(frozen=True)
class Reference(Message):
    """Where bytes lie in the weight store, and what they must be.

    Attributes:
        key: the name in the store.
        length: bytes.
        sha256: hex digest of the bytes (the sha256 of the sha256s of their pieces).
        schema: names, dtypes and shapes of the arrays inside.
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
        """As a message without the schema, for a receiver that knows it."""
        return {"key": self.key, "length": self.length, "sha256": self.sha256}

    @classmethod
    def from_short(cls, data: Any, schema: Schema) -> Self:
        """Rebuild from `to_short()`.

        Raises:
            MessageError: `data` is no such message.
        """
        if not isinstance(data, dict):
            raise MessageError(f"Reference: expected a table, received {type(data).__name__}")
        return cls.from_message({**data, "schema": [asdict(spec) for spec in schema]})


@dataclass(frozen=True)
class Order(Message):
    """What every task of a run is told.

    Attributes:
        run: name of the run.
        session: id of the orchestrator process; what an earlier one left behind has no effect.
        settings: `Config.for_run()`.
        data_digest: sha256 of the manifest of the preprocessed data.
        versions: of the code and of the packages that matter; a worker with others refuses.
        attempt: 0, 1, …; only the answer of the expected attempt counts.
        site: name of the site that alone may carry it out; empty: any worker that belongs to no site.
    """

    run: str
    session: str
    settings: dict[str, Any]
    data_digest: str
    versions: dict[str, str]
    attempt: int
    site: str = field(default="", kw_only=True)

    def to_message(self) -> dict[str, Any]:
        """With the job's name, so that a worker of another version can still say which one it refuses."""
        return {**super().to_message(), "job": self.job}

    @classmethod
    def from_message(cls, data: Any) -> Self:
        if isinstance(data, dict):
            data = {name: value for name, value in data.items() if name != "job"}
        order = super().from_message(data)
        if not isinstance(order.run, str) or not RUN_NAME.fullmatch(order.run):
            raise MessageError(f"{cls.__name__}: run {order.run!r} is no name of a run")
        if not isinstance(order.settings, dict):
            raise MessageError(f"{cls.__name__}: settings are no table")
        return order

    @property
    def job(self) -> str:
        """Name of the one thing this order wants done, the same for all its attempts."""
        raise NotImplementedError


@dataclass(frozen=True)
class StartOrder(Order):
    """Make a run ready: from new initial weights, or from where an earlier process stopped."""

    resume: bool

    @property
    def job(self) -> str:
        return "start"


@dataclass(frozen=True)
class FinishOrder(Order):
    """Test the best model and write the models of a run."""

    @property
    def job(self) -> str:
        return "finish"


@dataclass(frozen=True)
class RoundOrder(Order):
    """Aggregate a round.

    Attributes:
        round: 1, 2, …
        clients: ids of the participants, in the order their updates are summed.
        weights: the global weights at the start of the round (a Reference's message).
        sent_at: when the round was dispatched, seconds since the epoch on Redis' clock.
        states: what clients remember since the last round in which their update counted, and the server.
        num_clients: how many the training rows are divided among; all tasks of a round must agree on it.
        sites: where every client is a site, what each tells of itself (Site messages), by id; else empty.
    """

    round: int
    clients: list[int]
    weights: dict[str, Any]
    sent_at: float
    states: States = field(default_factory=dict, kw_only=True)
    num_clients: int = field(kw_only=True)
    sites: list[dict[str, Any]] = field(default_factory=list, kw_only=True)

    @property
    def job(self) -> str:
        return f"aggregate:{self.round}"


@dataclass(frozen=True)
class TrainOrder(RoundOrder):
    """Train one client in a round; it is told of no other, so that messages stay small."""

    client: int

    @classmethod
    def of(cls, order: RoundOrder, client: int) -> "TrainOrder":
        """What a client of the round is told."""
        own = {name: order.states[name] for name in (str(client), SERVER) if name in order.states}
        about = {"clients": [client], "states": own, "client": client, "sites": []}
        if order.sites:
            site = order.sites[client]
            about |= {"site": site["name"], "data_digest": site["data_digest"]}
        return cls(**{**vars(order), **about})

    @property
    def job(self) -> str:
        return f"train:{self.round}:{self.client}"


Status = Literal["ok", "partial", "failed", "missing"]


@dataclass(frozen=True)
class ClientReply(Message):
    """What became of one client in one round.

    Attributes:
        status: `ok`, `partial` (stopped early), `failed` (see `error`), `missing` (no answer).
        num_examples: training images seen, each as often as it was.
        train_loss: mean loss over the steps, as training went on.
        update: Reference of what it sends of its weights, as a message; None unless ok or partial.
        predictions: Reference of the local model's validation scores, as a message.
        tally: in their place, a site's counts and sums of them (`helpers.evaluation.tallies`).
        threads: TensorFlow threads of the worker; 0 where it was left to TensorFlow.
        bytes_down, bytes_up: bytes of global weights, and of what else the server tells all, that this client
            read; of its update that it wrote.
        started_at: when the task began, seconds after the round was dispatched.
        seconds: time in the task; `transfer_seconds` of it went into reading and writing weights.
        state: short Reference of what the client remembers for its next round; None where nothing.
        state_bytes: bytes of its state that it read and wrote.
    """

    round: int
    client: int
    attempt: int
    worker: str
    status: Status
    error: str | None = None
    num_examples: int = 0
    train_loss: float | None = None
    update: dict[str, Any] | None = None
    predictions: dict[str, Any] | None = None
    threads: int = 0
    bytes_down: int = 0
    bytes_up: int = 0
    started_at: float = 0.0
    seconds: float = 0.0
    transfer_seconds: float = 0.0
    state: dict[str, Any] | None = None
    state_bytes: int = 0
    tally: dict[str, Any] | None = None


@dataclass(frozen=True)
class RunState(Message):
    """How far a run has come: the content of `models/<run>/state.json`.

    Attributes:
        round: the last finished round; 0 before the first.
        weights_file: file of the global weights after that round.
        best_round, best_roc_auc: the best round by validation ROC-AUC so far; None before one.
        best_weights_file: file of that round's weights.
        state_files: by client id as text, the file of what it remembers; empty where nothing.
        server_file: file of what the server remembers (momenta) after that round; None where nothing.
        server_file_before: file of what it remembered before that round, so that the round's aggregation
            can be done again after it was committed; None where nothing.
        sites: where every client is a site, the sites of all rounds so far (Site messages), by id.
    """

    run: str
    round: int
    weights_file: str
    best_round: int | None
    best_roc_auc: float | None
    best_weights_file: str | None
    state_files: dict[str, str] = field(default_factory=dict)
    server_file: str | None = None
    server_file_before: str | None = None
    sites: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class RoundResult(Message):
    """What the aggregation reports.

    Attributes:
        state: the RunState after the round, as a message.
        weights: Reference of the new global weights, as a message.
        metrics: the row of rounds.csv.
        clients: the rows of clients.csv.
        states: what clients and server remember after the round; empty after the last one.
        left_out: why some sites' scores are not in the metrics, a sentence each.
    """

    state: dict[str, Any]
    weights: dict[str, Any]
    metrics: dict[str, Any]
    clients: list[dict[str, Any]]
    states: States = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

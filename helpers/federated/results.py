"""Messages about what has been done: a round that is averaged, the result of a round, the state of a run."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from helpers.federated.messages import Message, States


@dataclass(frozen=True)
class Averaged(Message):
    """A round whose updates are combined, but which is not yet evaluated and recorded.

    Attributes:
        weights: Reference of the new global weights, as a message.
        row: of rounds.csv, without the metrics.
        clients: rows of clients.csv.
        states, state_files: references and files of the clients' new states, by client id as text.
        server_file: file of the server's state; None where it has none.
    """

    weights: dict[str, Any]
    row: dict[str, Any]
    clients: list[dict[str, Any]]
    states: States
    state_files: dict[str, str]
    server_file: str | None


@dataclass(frozen=True)
class RunState(Message):
    """How far a run has come: the content of `models/<run>/state.json`.

    Attributes:
        round: the last finished round; 0 before the first.
        weights_file: file of the global weights after that round.
        best_round, best_roc_auc: the best round by validation ROC-AUC so far; None before one. With
            `CHOICE=smoothed`, the mean AUC of that round and those before it.
        best_val_loss: its validation loss, which decides between equal AUCs; None in an older file.
        best_weights_file: file of that round's weights, or of the average over the rounds up to it.
        state_files: files of the clients' states, by client id as text.
        server_file: file of the server's state after that round; None where it has none.
        server_file_before: not used; in files of version 0.1.0.
        sites: where every client is a site, the sites of all rounds so far (Site messages), by id.
        partition_clients: number of clients whose division of the rows partition.csv holds last.
        tables: files of the run's own records of its tables, by the names of their CSV files; empty before
            the first round and in a run of version 0.1.0.
        tables_file: in earlier versions, file of the rows of all tables; replaced when the run is resumed.
        num_resumes: how often a run with `DP=example` was resumed; each counts as one more private training.
        budget_is_spent: whether another round would exceed DP_TARGET_EPSILON.
        ema_file: file of the average of the global weights over the rounds; None without EMA_DECAY.
        epoch: number of the take-over by the task that wrote this; see `helpers.run_records.fence`.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

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
    partition_clients: int | None = None
    best_val_loss: float | None = None
    tables_file: str | None = None
    tables: dict[str, str] = field(default_factory=dict)
    ema_file: str | None = None
    num_resumes: int = 0
    budget_is_spent: bool = False
    epoch: int = 0


@dataclass(frozen=True)
class RoundResult(Message):
    """The result of a round, as the aggregation reports it.

    Attributes:
        state: the RunState after the round, as a message.
        weights: Reference of the new global weights, as a message.
        metrics: the row of rounds.csv.
        clients: rows of clients.csv.
        states: states of clients and server after the round; empty after the last one.
        left_out: why some sites' scores are not in the metrics, a sentence each.
    """

    state: dict[str, Any]
    weights: dict[str, Any]
    metrics: dict[str, Any]
    clients: list[dict[str, Any]]
    states: States = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

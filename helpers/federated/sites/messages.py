"""What orchestrator, aggregation and sites say to each other beyond a training; see `messages`."""

from dataclasses import dataclass, field
from typing import Any, Self

from helpers.federated.messages import Message, MessageError, Order, RoundOrder, States, Status

SPLITS = ("val", "test")


@dataclass(frozen=True)
class ScoreOrder(Order):
    """Score the global weights on a site's own images.

    Attributes:
        round: after which they are the global weights.
        client: id of the site.
        split: of its images.
        weights: Reference of them, as a message.
        threshold: of two classes, scores at or above it count as class 1 in the counts.
    """

    round: int
    client: int
    split: str
    weights: dict[str, Any]
    threshold: float

    @classmethod
    def for_all(
        cls, order: "RoundOrder | FinishSitesOrder", split: str, weights: dict[str, Any], threshold: float
    ) -> "list[ScoreOrder]":
        """What each of the order's clients is asked; it is told of no other site."""
        return [
            cls(
                order.run, order.session, order.settings, order.sites[client]["data_digest"], order.versions,
                0, order.round, client, split, weights, threshold, site=order.sites[client]["name"],
            )
            for client in order.clients
        ]  # fmt: skip

    @classmethod
    def from_message(cls, data: Any) -> Self:
        order = super().from_message(data)
        if order.split not in SPLITS:
            raise MessageError(f"ScoreOrder: split {order.split!r} is none of {SPLITS}")
        if type(order.threshold) not in (float, int) or not 0 <= order.threshold <= 1:
            raise MessageError(f"ScoreOrder: threshold {order.threshold!r} is not between 0 and 1")
        return order

    @property
    def job(self) -> str:
        return f"score-{self.split}:{self.round}:{self.client}"


@dataclass(frozen=True)
class ScoreReply(Message):
    """How the global weights do on a site's images.

    Attributes:
        status: `ok`, `failed` (see `error`), `missing` (no answer).
        tally: counts and sums, see `helpers.evaluation.tallies`; None unless ok.
        scores: Reference of labels, scores and patients' numbers, as a message; None if they stay there.
    """

    round: int
    client: int
    attempt: int
    worker: str
    status: Status
    error: str | None = None
    tally: dict[str, Any] | None = None
    scores: dict[str, Any] | None = None

    @classmethod
    def read(cls, round_number: int, client: int, message: Any) -> "ScoreReply":
        """Read what came; one that is not understood is `failed`, with the reason."""
        try:
            reply = cls.from_message(message)
            reply._check(round_number, client)
        except MessageError as error:
            return cls(round_number, client, 0, "", "failed", f"reply not understood: {error}")
        return reply

    def _check(self, round_number: int, client: int) -> None:
        if (self.round, self.client) != (round_number, client):
            raise MessageError(f"is of round {self.round}, client {self.client}")
        if type(self.attempt) is not int or not 0 <= self.attempt < 1 << 53:
            raise MessageError("attempt is no count")
        if self.status not in ("ok", "failed", "missing"):
            raise MessageError(f"status {self.status!r}")
        if not isinstance(self.worker, str) or not isinstance(self.error, str | None):
            raise MessageError("worker or error is no text")


@dataclass(frozen=True)
class Combined(Message):
    """A round that is averaged but not yet in the records, as its new model has not been scored.

    Attributes:
        weights: Reference of the new global weights, as a message.
        row: of rounds.csv, without the metrics.
        clients: the rows of clients.csv.
        states, state_files: what the clients whose updates count remember, by id as text.
        server_file: what the server remembers.
    """

    weights: dict[str, Any]
    row: dict[str, Any]
    clients: list[dict[str, Any]]
    states: States
    state_files: dict[str, str]
    server_file: str | None


@dataclass(frozen=True)
class RecordOrder(RoundOrder):
    """Put a round into the records.

    Attributes:
        combined: what the aggregation answered.
        scores: ScoreReply messages, one for each of `clients`.
    """

    combined: dict[str, Any] = field(kw_only=True)
    scores: list[Any] = field(kw_only=True)

    @property
    def job(self) -> str:
        return f"record:{self.round}"


@dataclass(frozen=True)
class OfferOrder(Order):
    """Put the best weights into the store, for the sites to score."""

    @property
    def job(self) -> str:
        return "offer"


@dataclass(frozen=True)
class FinishSitesOrder(Order):
    """Test the best model by the sites' scores, and write the models of a run.

    Attributes:
        round: after which it was the best.
        clients: ids of the sites that were asked.
        sites: Site messages of all, by id.
        scores: by split, ScoreReply messages, one for each of `clients`; no `test` where the test is here.
    """

    round: int
    clients: list[int]
    sites: list[dict[str, Any]]
    scores: dict[str, list[Any]]

    @property
    def job(self) -> str:
        return "finish"

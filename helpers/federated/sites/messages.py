"""Messages of a run whose images stay at the sites, in addition to those of `federated.messages`."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from helpers.federated.messages import Message, MessageError, Order, RoundOrder, TrainOrder
from helpers.federated.replies import Status

SPLITS = ("val", "test")


@dataclass(frozen=True)
class SiteRoundOrder(RoundOrder):
    """Average a round whose clients are sites; only they can evaluate it.

    Attributes:
        sites: Site messages, by client id.
    """

    task = "tasks.average_sites"

    sites: list[dict[str, Any]] = field(kw_only=True)


@dataclass(frozen=True)
class SiteTrainOrder(TrainOrder):
    """Train a site on its own images.

    Attributes:
        is_masked: whether the update leaves the site masked; it must be what the run's settings say.
    """

    task = "tasks.train_site"
    is_masked: ClassVar[bool] = False

    @classmethod
    def from_message(cls, data: Any) -> Self:
        order = super().from_message(data)
        if order.settings.get("SECURE_AGGREGATION", False) is not cls.is_masked:
            raise MessageError(
                f"{cls.__name__}: not an order of a run with SECURE_AGGREGATION={not cls.is_masked}"
            )
        return order

    @classmethod
    def at(cls, order: SiteRoundOrder, client: int) -> Self:
        """Make the order for one site of a round; it does not name the other sites."""
        site = order.sites[client]
        plain = TrainOrder.of(RoundOrder(**{k: v for k, v in vars(order).items() if k != "sites"}), client)
        return cls(**{**vars(plain), "site": site["name"], "data_digest": site["data_digest"]})


@dataclass(frozen=True)
class ScoreOrder(Order):
    """Score the global weights on a site's own images.

    Attributes:
        round: the round that gave these weights.
        client: id of the site.
        split: of its images.
        weights: Reference of the weights, as a message.
        threshold: with two classes, scores at or above it count as class 1 in the counts.
    """

    task = "tasks.score"
    writes = False

    round: int
    client: int
    split: str
    weights: dict[str, Any]
    threshold: float

    @classmethod
    def for_all(
        cls,
        order: "SiteRoundOrder | FinishSitesOrder",
        split: str,
        weights: dict[str, Any],
        threshold: float,
        **more: Any,
    ) -> list[Self]:
        """Make an order for each of the order's clients; it does not name the other sites."""
        return [
            cls(
                order.run, order.session, order.settings, order.sites[client]["data_digest"], order.versions,
                0, order.round, client, split, weights, threshold, site=order.sites[client]["name"],
                origin=order.origin, **more,
            )
            for client in order.clients
        ]  # fmt: skip

    @classmethod
    def from_message(cls, data: Any) -> Self:
        order = super().from_message(data)
        if order.split not in SPLITS:
            raise MessageError(f"ScoreOrder: split {order.split!r} is not one of {SPLITS}")
        if type(order.threshold) not in (float, int) or not 0 <= order.threshold <= 1:
            raise MessageError(f"ScoreOrder: threshold {order.threshold!r} is not between 0 and 1")
        return order

    @property
    def job(self) -> str:
        return f"score-{self.split}:{self.round}:{self.client}"

    @property
    def label(self) -> str:
        return f"round {self.round}, scores of site {self.site}"


@dataclass(frozen=True)
class SiteTestOrder(ScoreOrder):
    """Test the global model at a site and, with LOCAL_MODELS, two that are trained there.

    Attributes:
        initial: Reference of the run's initial weights, as a message; None without LOCAL_MODELS.
    """

    task = "tasks.test_site"

    initial: dict[str, Any] | None = field(kw_only=True)

    @classmethod
    def from_message(cls, data: Any) -> Self:
        order = super().from_message(data)
        if order.initial is not None and not order.settings.get("LOCAL_MODELS"):
            raise MessageError("SiteTestOrder: initial weights in a run without LOCAL_MODELS")
        return order


@dataclass(frozen=True)
class ScoreReply(Message):
    """The outcome of scoring the global weights on a site's images.

    Attributes:
        status: `ok`, `failed` (see `error`), `missing` (no answer).
        tally: counts and sums, see `helpers.evaluation.tallies`; None unless ok.
        scores: Reference of labels, scores and patients' numbers, as a message; None if they stay at the
            site.
        models: rows of test.csv of the models of a `SiteTestOrder`; None for other orders.
    """

    round: int
    client: int
    attempt: int
    worker: str
    status: Status
    error: str | None = None
    tally: dict[str, Any] | None = None
    scores: dict[str, Any] | None = None
    models: list[dict[str, Any]] | None = None

    @classmethod
    def read(cls, round_number: int, client: int, message: Any) -> "ScoreReply":
        """Return the reply; one that cannot be read becomes `failed` with the reason."""
        try:
            reply = cls.from_message(message)
            reply._check(round_number, client)
        except MessageError as error:
            return cls(round_number, client, 0, "", "failed", f"reply not understood: {error}")
        return reply

    def _check(self, round_number: int, client: int) -> None:
        if (self.round, self.client) != (round_number, client):
            raise MessageError(f"it belongs to round {self.round}, client {self.client}")
        if type(self.attempt) is not int or not 0 <= self.attempt < 1 << 53:
            raise MessageError("attempt is not a count")
        if self.status not in ("ok", "failed", "missing"):
            raise MessageError(f"status {self.status!r}")
        if not isinstance(self.worker, str) or not isinstance(self.error, str | None):
            raise MessageError("worker or error is not text")


@dataclass(frozen=True)
class RecordOrder(SiteRoundOrder):
    """Evaluate an averaged round by the sites' scores and record it.

    Attributes:
        averaged: the Averaged message of the round.
        scores: ScoreReply messages, one for each of `clients`.
    """

    task = "tasks.record"

    averaged: dict[str, Any] = field(kw_only=True)
    scores: list[Any] = field(kw_only=True)

    @property
    def job(self) -> str:
        return f"record:{self.round}"

    @property
    def label(self) -> str:
        return f"round {self.round}, record"


@dataclass(frozen=True)
class OfferOrder(Order):
    """Put the best weights into the weight store, for the sites to score."""

    task = "tasks.offer_best"

    @property
    def job(self) -> str:
        return "offer"


@dataclass(frozen=True)
class FinishSitesOrder(Order):
    """Test the best model by the sites' scores, and write the models of a run.

    Attributes:
        round: the best round.
        clients: ids of the sites that scored it.
        sites: Site messages of all, by id.
        scores: by split, ScoreReply messages, one for each of `clients`; without `test` where the run has its
            own test set.
        threshold: of two classes, chosen by the sites' counts of validation.
    """

    task = "tasks.finish_sites"

    round: int
    clients: list[int]
    sites: list[dict[str, Any]]
    scores: dict[str, list[Any]]
    threshold: float

    @property
    def job(self) -> str:
        return "finish"

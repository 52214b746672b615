"""Answers to orders, checked before they are used: anyone with access to Redis may have written them."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from helpers.cluster.errors import TaskFailed
from helpers.evaluation.tallies import read_tally, threshold_of
from helpers.federated.messages import MessageError, Order, Reference
from helpers.federated.replies import USABLE
from helpers.federated.results import RoundResult, RunState
from helpers.federated.sites.messages import FinishSitesOrder, ScoreReply
from helpers.federated.sites.site import Site
from helpers.run_records.tables import TEST_COLUMNS


@contextlib.contextmanager
def reading_answer(order: Order) -> Iterator[None]:
    """Raise TaskFailed if the answer to an order turns out to be of another form inside this context."""
    try:
        yield
    except (MessageError, LookupError, TypeError, ValueError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"[:300]
        raise TaskFailed(f"{order.label}: its answer cannot be read: {reason}") from None


def any_answer(answer: dict[str, Any]) -> None:
    """Accept any answer."""


def check_start(answer: dict[str, Any]) -> None:
    """Check the answer of a start: {state, weights, states}."""
    RunState.from_message(answer["state"])
    Reference.from_message(answer["weights"])
    dict.items(answer["states"])


def check_offer(answer: dict[str, Any]) -> None:
    """Check the answer of an offer: {round, weights, initial}."""
    int(answer["round"])
    Reference.from_message(answer["weights"])
    if answer["initial"] is not None:
        Reference.from_message(answer["initial"])


def check_test(answer: dict[str, Any]) -> None:
    """Check that the answer has a row of test.csv, and where the results are."""
    needed = [name for name in TEST_COLUMNS if not name.endswith(("_low", "_high", "_over"))]
    if missing := [name for name in needed if name not in answer["test"]]:
        raise MessageError(f"the test lacks {missing}")
    if not all(isinstance(place, str) for place in answer["results"]):
        raise MessageError("a place of the results is not text")


def chosen_threshold(order: FinishSitesOrder) -> float:
    """Return the decision threshold by the sites' counts of validation; a site without usable ones is left
    out.
    """
    tallies = []
    for client, message in zip(order.clients, order.scores["val"], strict=True):
        reply = ScoreReply.read(order.round, client, message)
        with contextlib.suppress(ValueError):
            tallies.append(read_tally(reply.tally, Site.from_message(order.sites[client]).val))
    return threshold_of(tallies, order.settings["THRESHOLD"])


def report_clients(result: RoundResult, messages: list[Any], notice: Callable[[str], None]) -> None:
    """Report clients whose update the aggregation refused, and those that stopped early."""
    for row, message in zip(result.clients, messages, strict=True):
        label = f"round {row['round']}, client {row['client']}"
        if row["status"] == "failed" and message.get("status") in USABLE:
            notice(f"{label}: {row['error']}")
        elif row["status"] == "partial":
            notice(f"{label}: stopped early and counts with {row['num_examples']} images")


def read_round(order: Order, answer: dict[str, Any]) -> RoundResult:
    """Return the result of a round; TaskFailed if it is of another form."""
    with reading_answer(order):
        result = RoundResult.from_message(answer)
        RunState.from_message(result.state)
        Reference.from_message(result.weights)
        for row in result.clients:
            row["round"], row["client"], row["status"], row["error"]
        return result

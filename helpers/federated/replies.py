"""Replies of clients as they arrive: checked, because nothing in them is trusted."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from helpers.federated.messages import Message, MessageError

Status = Literal["ok", "partial", "failed", "missing"]
USABLE = ("ok", "partial")
STATUSES = (*USABLE, "failed", "missing")
MOST_CHARACTERS = 100_000
"""Longest name of a worker and reason."""
LEAST_NORMS = 3
"""With fewer updates, none is absurd next to the others."""
TOO_LARGE = 1e100
"""Losses and times are below this; integers beyond the range of a float are refused as well."""


@dataclass(frozen=True)
class ClientReply(Message):
    """The outcome of one client's training in one round.

    Attributes:
        status: `ok`, `partial` (stopped early), `failed` (see `error`), `missing` (no answer).
        num_examples: training images seen, each as often as it was.
        num_steps: training steps made.
        train_loss: mean loss over the steps, as training went on; None in a private training.
        update: Reference of the client's update, as a message; None unless ok or partial.
        predictions: Reference of the local model's validation scores, as a message.
        tally: in their place, a site's counts and sums of them (`helpers.evaluation.tallies`).
        threads: TensorFlow threads of the worker; 0 where TensorFlow chose.
        bytes_down, bytes_up: bytes of global weights and shared state that this client read; of its update.
        started_at: when the task began, seconds after the round was dispatched.
        seconds: time in the task; `transfer_seconds` of it went into reading and writing weights.
        state: short Reference of the client's state for its next round; None where it has none.
        state_bytes: bytes of its state that it read and wrote.
        update_norm: Euclidean norm of the client's weights after its training.
    """

    round: int
    client: int
    attempt: int
    worker: str
    status: Status
    error: str | None = None
    num_examples: int = 0
    num_steps: int = 0
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
    update_norm: float = 0.0


def norm_limit(replies: Sequence[ClientReply], max_ratio: float, shortage: Callable[[int], str]) -> float:
    """Return the norm above which an update is absurd next to the others of its round; infinity for no limit.

    It is `max_ratio` (0 for no limit) times the median of three or more. A robust rule with a `shortage` of
    updates without the absurd ones keeps them.
    """
    norms = [reply.update_norm for reply in replies if reply.status in USABLE]
    limit = max_ratio * statistics.median(norms) if len(norms) >= LEAST_NORMS else 0.0
    return limit if limit and not shortage(sum(norm <= limit for norm in norms)) else math.inf


def read_replies(round_number: int, clients: Sequence[int], messages: Any) -> list[ClientReply]:
    """Return the replies of a round; one that cannot be read becomes `failed` with the reason.

    Args:
        round_number: the round they must belong to.
        clients: the participants, in order.
        messages: one for each of them, in the same order; a chord with one task passes it without a list.

    Raises:
        MessageError: the numbers of messages and clients differ.
    """
    messages = messages if isinstance(messages, list) else [messages]
    if len(messages) != len(clients):
        raise MessageError(f"{len(messages)} replies for {len(clients)} clients")
    return [_read(round_number, *pair) for pair in zip(clients, messages, strict=True)]


def _read(round_number: int, client: int, message: Any) -> ClientReply:
    try:
        reply = ClientReply.from_message(message)
        _check(reply)
        if (reply.round, reply.client) != (round_number, client):
            raise MessageError(f"it belongs to round {reply.round}, client {reply.client}")
    except MessageError as error:
        return ClientReply(round_number, client, 0, "", "failed", f"reply not understood: {error}")
    return reply


def _check(reply: ClientReply) -> None:
    num_bytes = (reply.bytes_down, reply.bytes_up, reply.state_bytes)
    counts = (reply.attempt, reply.num_examples, reply.num_steps, reply.threads, *num_bytes)
    if not all(type(count) is int and 0 <= count < 1 << 53 for count in counts):
        raise MessageError("a count is negative or not an integer")
    if reply.status not in STATUSES:
        raise MessageError(f"status {reply.status!r}")
    if not isinstance(reply.worker, str) or not isinstance(reply.error, str | None):
        raise MessageError("worker or error is not text")
    if len(reply.worker) + len(reply.error or "") > MOST_CHARACTERS:
        raise MessageError("worker or error is too long")
    loss = 0.0 if reply.train_loss is None else reply.train_loss
    numbers = (reply.started_at, reply.seconds, reply.transfer_seconds, loss, reply.update_norm)
    if not all(type(number) in (float, int) and abs(number) < TOO_LARGE for number in numbers):
        raise MessageError("the loss, a time or the norm is not a finite number")
    scored = reply.predictions if reply.tally is None else reply.tally
    if reply.status in USABLE and None in (reply.update, scored):
        raise MessageError(f"it is {reply.status} without update or predictions")

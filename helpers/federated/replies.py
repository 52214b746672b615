"""Replies as they come in: nothing in them is trusted."""

from collections.abc import Sequence
from typing import Any

from helpers.federated.messages import ClientReply, MessageError

USABLE = ("ok", "partial")
STATUSES = (*USABLE, "failed", "missing")
TOO_LARGE = 1e100
"""No loss or time is as large; a whole number beyond what a float can hold is refused as well."""


def read_replies(round_number: int, clients: Sequence[int], messages: Sequence[Any]) -> list[ClientReply]:
    """Read the replies of a round; one that is not understood becomes `failed` with the reason.

    Args:
        round_number: the round they must be of.
        clients: the participants, in order.
        messages: one for each of them, in the same order.

    Raises:
        MessageError: not one message a client.
    """
    if len(messages) != len(clients):
        raise MessageError(f"{len(messages)} replies for {len(clients)} clients")
    return [_read(round_number, *pair) for pair in zip(clients, messages, strict=True)]


def _read(round_number: int, client: int, message: Any) -> ClientReply:
    try:
        reply = ClientReply.from_message(message)
        _check(reply)
        if (reply.round, reply.client) != (round_number, client):
            raise MessageError(f"is of round {reply.round}, client {reply.client}")
    except MessageError as error:
        return ClientReply(round_number, client, 0, "", "failed", f"reply not understood: {error}")
    return reply


def _check(reply: ClientReply) -> None:
    num_bytes = (reply.bytes_down, reply.bytes_up, reply.state_bytes)
    counts = (reply.attempt, reply.num_examples, reply.threads, *num_bytes)
    if not all(type(count) is int and 0 <= count < 1 << 53 for count in counts):
        raise MessageError("a count is no whole number, or negative")
    if reply.status not in STATUSES:
        raise MessageError(f"status {reply.status!r}")
    if not isinstance(reply.worker, str) or not isinstance(reply.error, str | None):
        raise MessageError("worker or error is no text")
    loss = 0.0 if reply.train_loss is None else reply.train_loss
    numbers = (reply.started_at, reply.seconds, reply.transfer_seconds, loss)
    if not all(type(number) in (float, int) and abs(number) < TOO_LARGE for number in numbers):
        raise MessageError("loss or a time is no finite number")
    scored = reply.predictions if reply.tally is None else reply.tally
    if reply.status in USABLE and None in (reply.train_loss, reply.update, scored):
        raise MessageError(f"is {reply.status} without loss, update or predictions")

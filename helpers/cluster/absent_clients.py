"""Clients that fail or do not reply: answers in their place, and the quorum of a round."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from helpers.cluster.errors import QuorumMissed
from helpers.cluster.job_board import JobBoard
from helpers.cluster.jobs import Job
from helpers.federated.quorum import clients_needed
from helpers.federated.replies import ClientReply


@dataclass(frozen=True)
class RoundTerms:
    """When a round is over.

    Attributes:
        deadline_s: it closes after this time, seconds, with the clients that have replied.
        min_clients: usable replies that it needs; see `clients_needed`.
        task_deadline_s: limit of the aggregation, and of the start and end of a run, seconds.
    """

    deadline_s: float
    min_clients: float
    task_deadline_s: float


class AbsentClients:
    """Answers in place of clients, and checks the quorum.

    Args:
        board: the run's board.
        terms: when a round is over.
        notice: receives lines for the user.
    """

    def __init__(self, board: JobBoard, terms: RoundTerms, notice: Callable[[str], None]) -> None:
        self._board = board
        self._terms = terms
        self._notice = notice

    def mark_failed(self, job: Job, error: str) -> None:
        """Answer a client's job: it failed."""
        self._answer(job, ClientReply(**_ids(job), status="failed", error=error))

    def mark_missing(self, job: Job) -> None:
        """Answer a client's job: it did not reply before the round's deadline."""
        error = f"no reply within {self._terms.deadline_s:g} s"
        self._answer(job, ClientReply(**_ids(job), status="missing", error=error))

    def _answer(self, job: Job, reply: ClientReply) -> None:
        """Put a reply on the board, unless the worker's own came first."""
        if self._board.answer(job.name, job.attempt, reply.to_message()):
            job.was_answered_for = True
            self._notice(f"{job.label}: {reply.status}: {reply.error}")

    def check_quorum(self, round_number: int, num_clients: int, absent: list[ClientReply]) -> None:
        """Check that enough clients replied.

        Args:
            round_number, num_clients: of the round.
            absent: replies that cannot be used.

        Raises:
            QuorumMissed: naming the absent clients and why.
        """
        needed = clients_needed(self._terms.min_clients, num_clients)
        if num_clients - len(absent) < needed:
            reasons = "; ".join(
                f"client {reply.client} on {reply.worker or '?'} {reply.status}: {reply.error}"
                for reply in absent
            )
            raise QuorumMissed(
                f"round {round_number}: {num_clients - len(absent)} of {num_clients} clients replied, "
                f"MIN_CLIENTS needs {needed} ({reasons})"
            )


def _ids(job: Job) -> dict[str, Any]:
    _, number, client = job.name.split(":")
    return {"round": int(number), "client": int(client), "attempt": job.attempt, "worker": job.runner or ""}

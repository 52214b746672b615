"""What must hold in the protocol's model at any moment."""

import contextlib
import os
from typing import Any

from helpers.cluster.job_board import LEASE_S
from helpers.federated.messages import Order, StartOrder
from helpers.run_records.checkpoint import read_state
from helpers.run_records.files import RunFolders

NOBODY = ("", 0.0)


class Invariants:
    """What has happened to a run, and whether it may.

    Attributes:
        held: session that has held the run, and when.
        faults: what was found wrong where an exception would be caught.
    """

    def __init__(self, folders: RunFolders) -> None:
        self.held = NOBODY
        self.faults: list[str] = []
        self._folders = folders
        self._owners: dict[int, Order] = {}  # by the number of their take-over
        self._last_epoch = 0
        self._grown: set[str] = set()  # sessions that have committed a round
        self._committed: set[str] = set()  # sessions that have written the state
        self._replaced: set[str] = set()  # those after which another one did
        self._epoch, self._round = 0, 0  # of the last commit
        self._records = [str(path) for path in (folders.state, folders.metrics / "rounds.csv")]
        self._named: set[str] = set()
        self._checked: Any = None

    def note_claim(self, session: str, force: bool, now: float) -> None:
        """Note that a session has the run; a live one loses it by force only."""
        holder, held_at = self.held
        if holder not in ("", session) and not force and now - held_at < LEASE_S - 0.1:
            self.faults.append(f"{session} has taken the run from {holder}, which is alive")
        self.held = session, now

    def note_take_over(self, order: Order) -> None:
        """Note that a task has taken over the run's folders."""
        self._last_epoch = self._folders.epoch
        self._owners[self._last_epoch] = order

    def forget_claims(self) -> None:
        """Note that Redis has lost who owns the run: an earlier session may be the first to claim it."""
        self._committed, self._replaced, self.held = set(), set(), NOBODY

    def check(self) -> None:
        """Check what is on disk, after each change."""
        assert not self.faults, self.faults
        seen = [_version(file) for file in self._records]
        if seen != self._checked:
            self._checked = seen
            self._check_records() if seen[0] else self._check_missing()
        for file in self._named:
            assert _version(file), f"{file} is gone"

    def _check_missing(self) -> None:
        assert not self._epoch or self._replaces(self._last_epoch), "state.json is gone"
        # A replaced run begins again: by the session that replaced it, or by another one if that died.
        self._epoch, self._round, self._named = 0, 0, set()

    def _check_records(self) -> None:
        state, _ = read_state(self._folders)
        begins = state.round == 0 and self._replaces(state.epoch)
        assert state.epoch >= self._epoch, f"a commit of take-over {state.epoch} after {self._epoch}"
        assert begins or state.round - self._round in (0, 1), f"round {state.round} after {self._round}"
        self._epoch, self._round = state.epoch, state.round
        session = self._owners[state.epoch].session
        assert session not in self._replaced, f"a commit of session {session}, which was taken over"
        self._replaced |= {earlier for earlier in self._committed if earlier != session}
        self._committed.add(session)
        if state.round:
            self._grown.add(session)
        files = (state.weights_file, state.best_weights_file, *state.tables.values())
        self._named = {str(self._folders.models / name) for name in files if name}
        if (table := self._folders.metrics / "rounds.csv").exists():
            rounds = [int(line.split(",")[0]) for line in table.read_text().splitlines()[1:]]
            assert rounds == list(range(1, len(rounds) + 1))
            assert len(rounds) in (state.round, state.round - 1), f"{rounds} in round {state.round}"

    def _replaces(self, epoch: int) -> bool:
        """Return whether the task of a take-over may begin the run: only before its session's rounds."""
        order = self._owners[epoch]
        return isinstance(order, StartOrder) and order.overwrite and order.session not in self._grown


def _version(file: str) -> tuple[int, int] | None:
    with contextlib.suppress(FileNotFoundError):
        status = os.stat(file)  # noqa: PTH116 (a step, and five times slower)
        return status.st_ino, status.st_mtime_ns
    return None

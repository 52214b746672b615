"""Ownership of a run: one orchestrator process at a time, which shows at each look that it is alive."""

import time
from collections.abc import Callable

from helpers.cluster.job_board import LEASE_S, JobBoard
from helpers.settings.errors import ConfigError

LOOK_S = 2.0
"""Time between two looks for a sign of another process, seconds; a live one gives several."""


def take_run_over(
    board: JobBoard,
    *,
    force: bool,
    notice: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Take a run over from an orchestrator that is dead, or by force from one that is alive.

    Args:
        board: of the run.
        force: take the run also from a live process, which then ends.
        notice: receives a line if it is not known yet whether there is one.
        sleep: waits, seconds.

    Raises:
        ConfigError: a live process trains the run.
    """
    run = board.identity["run"]
    held_ago = board.take_over(force=force)
    if held_ago is not None:
        notice(f"another process may be training this run; waiting up to {LEASE_S:g} s for a sign of it")
    while held_ago is not None:
        sleep(LOOK_S)
        before, held_ago = held_ago, board.take_over()
        if held_ago is not None and held_ago < before + LOOK_S / 2:  # it grows by LOOK_S without a sign
            raise ConfigError(
                f"run {run}: another process is training it; wait for it, end it with "
                f"`python run.py stop {run}`, or add --take-over to take the run from it"
            )

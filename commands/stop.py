"""`run.py stop`: ends a run after its round, from any terminal and any machine."""

from collections.abc import Sequence

from commands.living_run import find_run
from helpers.cluster.connection import address
from helpers.cluster.job_board import JobBoard
from helpers.cluster.living_runs import holder_of
from helpers.global_config import Config
from helpers.settings.command_line import ArgumentParser
from helpers.settings.errors import UserError


def main(arguments: Sequence[str]) -> int:
    """Run the command; return the exit status."""
    parser = ArgumentParser(
        prog="run.py stop",
        description="Ends a run after its current round, as Ctrl-C in its terminal does. --resume continues "
        "it. The run is found through Redis (REDIS_URL), so this works from any machine.",
    )
    parser.add_argument("run", metavar="RUN", help="name of the run")
    stop(Config.load(), parser.parse_args(arguments).run)
    return 0


def stop(config: Config, run: str) -> None:
    """Ask the orchestrator of a living run to end it after its round.

    Raises:
        UserError: no run of this name is in training, or this is a site.
        ClusterError: Redis does not answer.
    """
    client, run = find_run(config, run)
    holder = holder_of(client, run)
    if holder is None or not holder.session:
        raise UserError(f"run {run} has just ended")
    JobBoard(client, run, holder.session).ask_to_stop()
    print(f"Run {run} (Redis at {address(client)}) ends after its current round.")

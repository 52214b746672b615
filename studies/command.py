"""Frame of the studies' commands: environment, signals, errors and exit status."""

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

NUMBERS_PAGE = Path(__file__).resolve().parents[1] / "docs/numbers.md"

KEPT = "finished runs are kept; repeat the command to continue"


def run_command(script: str, run: Callable[[], Path]) -> int:
    """Run a study in the project's environment and return the exit status.

    Args:
        script: file of the command, which is started again in that environment.
        run: trains what is missing, and returns the page that it has written.
    """
    if not sys.platform.startswith("linux"):
        print("error: the studies read /proc and need Linux", file=sys.stderr)
        return 2
    from benchmarks.run import drop_settings, enter_environment

    if status := enter_environment(script):
        return status
    from benchmarks.watching import CommandFailed
    from helpers.cluster.errors import ClusterError
    from helpers.settings.errors import UserError

    for number in (signal.SIGTERM, signal.SIGHUP):  # end the processes that were started, as Ctrl-C does
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores it
            signal.signal(number, lambda number, frame: sys.exit(128 + number))
    drop_settings()
    try:
        page = run()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (ClusterError, CommandFailed) as error:
        print(f"error: {error}\n{KEPT}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print(f"stopped; {KEPT}", file=sys.stderr)
        return 130
    print(f"Results: {page}")
    return 0


def run_study_of_publication(
    script: str,
    description: str | None,
    rounds: int,
    run: Callable[[argparse.Namespace], Path],
    arguments: Sequence[str] | None,
) -> int:
    """Read the command line of the study of a publication, run it and return the exit status.

    Args:
        script, description: file and help of the command.
        rounds: of a training, unless the command line says otherwise.
        run: as for `run_command`, called with the options.
        arguments: of the command line; None takes those of this process.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add = parser.add_argument
    add("--rounds", type=int, default=rounds, metavar="N", help=f"of every training [{rounds}]")
    add("--out", type=Path, metavar="DIR", help="where runs are kept [studies/results/NAME-N-rounds]")
    add("--page", type=Path, metavar="FILE", default=NUMBERS_PAGE, help="[docs/numbers.md]")
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error(f"--rounds: received {options.rounds}, expected at least 1")
    return run_command(script, lambda: run(options))

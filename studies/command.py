"""Frame of the studies' commands: environment, signals, errors and exit status."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path

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

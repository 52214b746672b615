"""`run.py approve RUN`: shows what a run asks of this site, and approves it."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from commands.site_folder import SITE_SETTINGS, site_folder
from helpers.global_config import Config
from helpers.settings.command_line import ArgumentParser, add_settings, config_from_arguments
from helpers.settings.errors import UserError
from helpers.settings.outside_text import shown
from helpers.sites.approvals import Approvals


def main(arguments: Sequence[str]) -> int:
    """Run the command; return the exit status."""
    parser = ArgumentParser(
        prog="run.py approve",
        description="Shows what a run asks of this site, and approves it with exactly these settings.",
    )
    parser.add_argument("run", nargs="?", metavar="RUN", help="name of a run that has asked; none lists them")
    parser.add_argument("--yes", action="store_true", help="approve without a question")
    add_settings(parser, Config, only=SITE_SETTINGS)
    options = parser.parse_args(arguments)
    approvals = Approvals(site_folder(config_from_arguments(Config, options)))
    if options.run is None:
        print("\n".join(approvals.waiting()) or "no run waits for approval")
        return 0
    return approve(approvals, options.run, is_sure=options.yes)


def approve(approvals: Approvals, run: str, *, is_sure: bool, console: Console | None = None) -> int:
    """Show a run's settings and approve it, after a question unless `is_sure`; return the exit status.

    Raises:
        UserError: the run has not asked.
    """
    console = console or Console()
    settings = approvals.asked(run) if run in approvals.waiting() else None
    if settings is None:
        names = ", ".join(approvals.waiting()) or "none"
        raise UserError(f"run {run} does not wait for approval at this site; waiting: {names}")
    console.print(shown(f"Run {run} asks for these settings; all others have their default:"))
    console.print(_table(settings))
    if not is_sure and input(f"Approve run {run}? [y/N] ").strip().lower() not in ("y", "yes"):
        print("not approved")
        return 1
    approvals.approve(run, settings)
    print(f"Run {run} is approved. It takes part from its next order on.")
    return 0


def _table(settings: dict[str, Any]) -> Table:
    """Return the settings that differ from the defaults, and the network and number of rounds."""
    defaults = Config.model_construct().for_run()
    table = Table(box=None, pad_edge=False)
    for header in ("setting", "value", "default"):
        table.add_column(header, overflow="fold")
    for name, value in sorted(settings.items()):
        default = defaults.get(name)
        if value != default or name in ("ARCHITECTURE", "EPOCHS"):
            table.add_row(*(shown(text) for text in (name, value, default)))
    return table

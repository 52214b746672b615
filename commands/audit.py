"""`run.py audit`: the audit log of a site as a table, one line per order."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from commands.site_folder import SITE_SETTINGS, site_folder
from helpers.global_config import Config
from helpers.settings.command_line import ArgumentParser, add_settings, config_from_arguments
from helpers.settings.outside_text import shown
from helpers.sites.audit import COLUMNS, AuditLog


def main(arguments: Sequence[str]) -> int:
    """Run the command; return the exit status."""
    parser = ArgumentParser(
        prog="run.py audit",
        description="Prints what a site was asked for, what it decided and how many bytes left it.",
    )
    parser.add_argument("--last", type=int, metavar="N", help="only the last N orders")
    add_settings(parser, Config, only=SITE_SETTINGS)
    options = parser.parse_args(arguments)
    log = AuditLog(site_folder(config_from_arguments(Config, options)))
    print_log(log, options.last)
    return 0


def print_log(log: AuditLog, last: int | None = None, console: Console | None = None) -> None:
    """Print the last entries of a log, or all of them."""
    console = console or Console()
    entries = log.entries()[-last:] if last else log.entries()
    if not entries:
        console.print(shown(f"{log.file}: no orders yet"))
        return
    table = Table(box=None, pad_edge=False)
    for name in COLUMNS:
        table.add_column(
            name, justify="right" if name == "bytes_out" else "left", overflow="fold", no_wrap=name == "time"
        )
    for entry in entries:
        table.add_row(*(shown(entry.get(name, "")) for name in COLUMNS))
    console.print(table)

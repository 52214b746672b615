"""`run.py runs`: a table of all runs, by images and validation or by date; deletes and exports them."""

import argparse
import fnmatch
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from helpers.global_config import Config
from helpers.reporting.page import number
from helpers.reporting.summaries import CLASS_MEANS, Summary, export_table, summarize
from helpers.run_records.deletion import delete_run, may_be_in_training
from helpers.run_records.files import RunFolders, write_whole
from helpers.run_records.tables import to_csv
from helpers.settings.command_line import ArgumentParser, add_settings, config_from_arguments, option_of
from helpers.settings.errors import UserError
from helpers.settings.outside_text import printable, shown

CAUTION = (
    "To choose among runs, use the validation AUC: choosing by test AUC makes the best test look too good."
)
FOLDERS = ("METRICS_DIR", "MODELS_DIR")
"""The settings that say where runs are stored."""
HEADERS = ("run", "test\nAUC", "best\nval AUC", "rounds", "clients", "date", "state")
EXAMPLES = """\
examples:
  python run.py runs --sort date
  python run.py runs --match 'first-*' --state unfinished
  python run.py runs --export runs.csv           one row per run, with settings and test
  python run.py runs --delete --match 'trial-*'  asks first
  python run.py runs --keep 5 --yes              deletes all but the newest five
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command; return the exit status."""
    options = parse(arguments)
    config = config_from_arguments(Config, options)
    summaries = summarize(config.METRICS_DIR, config.MODELS_DIR)
    chosen = choose(summaries, options)
    if options.export:
        table = export_table(config.METRICS_DIR, config.MODELS_DIR, chosen)
        write_whole(options.export, to_csv(table))
        print(f"{len(table)} runs: {options.export}")
    elif options.delete or options.keep is not None:
        delete(config, by_date(chosen)[options.keep or 0 :], is_sure=options.yes)
    elif summaries and not chosen:
        folder = config.METRICS_DIR.absolute()
        print(
            printable(f"no such run among the {len(summaries)} in {folder}; `python run.py runs` lists them")
        )
    else:
        runs(config, chosen=chosen, is_by_date=options.sort == "date")
    return 0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line.

    Raises:
        UserError: options contradict each other.
    """
    parser = ArgumentParser(
        prog="run.py runs",
        description="Lists all runs: those on the same images together, best validation first.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--sort", choices=("validation", "date"), default="validation", help="date: the newest first")
    add("--match", metavar="PATTERN", default="*", help="only runs with such a name, such as 'first-*'")
    add("--state", choices=("finished", "unfinished"), help="only these")
    add("--since", metavar="YYYY-MM-DD", default="", help="only runs that have changed since")
    add("--export", type=Path, metavar="FILE", help="write a CSV file with a row per run")
    add("--delete", action="store_true", help="delete these runs: their folders of metrics and of models")
    add("--keep", type=int, metavar="N", help="delete all of these runs but the newest N")
    add("--yes", action="store_true", help="delete without asking")
    add_settings(parser, Config, only=FOLDERS)
    options = parser.parse_args(arguments)
    if options.keep is not None and options.keep < 1:
        raise UserError(f"--keep: received {options.keep}; at least 1. --delete deletes all")
    if options.export and (options.delete or options.keep is not None):
        raise UserError("--export and deleting: give one of them at a time")
    try:
        if options.since:  # 2026-9-1 becomes 2026-09-01, as the dates of runs are written
            options.since = time.strftime("%Y-%m-%d", time.strptime(options.since, "%Y-%m-%d"))
    except ValueError:
        raise UserError(f"--since: received {options.since!r}; expected a date such as 2026-11-29") from None
    return options


def choose(summaries: Sequence[Summary], options: argparse.Namespace) -> list[Summary]:
    """Return the runs that the options name, in the same order."""
    return [
        one
        for one in summaries
        if fnmatch.fnmatchcase(one.run, options.match)
        and (options.state or one.state) == one.state
        and one.date >= options.since
    ]


def by_date(summaries: Sequence[Summary]) -> list[Summary]:
    """Return runs in the order of their last change, the newest first."""
    return sorted(summaries, key=lambda one: (-one.changed, one.run))


def runs(
    config: Config,
    console: Console | None = None,
    *,
    chosen: Sequence[Summary] | None = None,
    is_by_date: bool = False,
) -> None:
    """Print runs of METRICS_DIR: those on the same images together, best validation AUC first, or by date.

    Further lines name the runs whose AUC is a mean over classes, and warn against choosing by test.
    """
    console = console or Console()
    with console.status("reading the runs"):
        summaries = summarize(config.METRICS_DIR, config.MODELS_DIR) if chosen is None else list(chosen)
    if not summaries:
        text = f"no run in {config.METRICS_DIR.absolute()} yet: start one with `python run.py train`"
        console.print(shown(text), soft_wrap=True)
        return
    console.print(_table(by_date(summaries) if is_by_date else summaries, with_gaps=not is_by_date))
    digests = [summary.data_digest for summary in summaries]
    if len(set(digests)) + digests.count("") > 1 and not is_by_date:
        console.print("Runs between empty lines have the same images. Others cannot be compared with them.")
    if best := [summary.run for summary in summaries if summary.is_best]:
        console.print(f"Best by validation, on equal images: {', '.join(best)}.", markup=False)
    if several := [summary.run for summary in summaries if not summary.is_binary]:
        console.print(shown(CLASS_MEANS.format(runs=", ".join(several))))
    if sum(summary.is_finished for summary in summaries) > 1:
        console.print(CAUTION)


def _table(summaries: Sequence[Summary], *, with_gaps: bool) -> Table:
    """Return the table; `with_gaps` puts an empty line between runs on different images."""
    table = Table(box=None, pad_edge=False)
    for header in HEADERS:
        is_text = header in ("run", "date", "state")
        table.add_column(
            header, justify="left" if is_text else "right", overflow="fold", no_wrap=header != "run"
        )
    for before, summary in zip([None, *summaries], summaries, strict=False):
        has_same_images = before is not None and before.data_digest == summary.data_digest != ""
        if with_gaps and before is not None and not has_same_images:
            table.add_row("")
        table.add_row(*(shown(cell) for cell in _cells(summary)))  # Text: a name may look like markup
    return table


def _cells(summary: Summary) -> list[str]:
    rounds = f"{summary.rounds}/{summary.planned}" if summary.planned else str(summary.rounds)
    aucs = [number(summary.test_auc), number(summary.best_validation_auc)]
    return [summary.run, *aucs, rounds, str(summary.clients), summary.date, summary.state]


def delete(
    config: Config, summaries: Sequence[Summary], *, is_sure: bool, ask: Callable[[str], str] = input
) -> None:
    """Delete runs, after asking unless `is_sure`. Runs that may be in training are kept, with a line.

    Raises:
        UserError: there is nobody to ask, a folder cannot be deleted, or only one of the two places of runs
            is set, so that the other one may hold other runs of these names.
    """
    if len(named := config.model_fields_set.intersection(FOLDERS)) == 1:
        (missing,) = set(FOLDERS) - named
        raise UserError(
            f"nothing was deleted: {missing} is not set, so {getattr(config, missing)} may have other runs "
            f"of these names; set it too ({option_of(missing)})"
        )
    doomed = [one.run for one in summaries if _may_be_deleted(one.run, config)]
    if not doomed:
        print("nothing to delete")
        return
    print(printable(f"{len(doomed)} to delete: {', '.join(doomed)}"))
    if not is_sure:
        if ask is input and not sys.stdin.isatty():
            raise UserError("nothing was deleted: add --yes to delete these runs")
        question = f"Delete their folders in {config.METRICS_DIR} and {config.MODELS_DIR}? [y/N] "
        if ask(printable(question)).strip().lower() not in ("y", "yes"):
            print("nothing was deleted")
            return
    deleted = 0
    for run in doomed:
        if _may_be_deleted(run, config):  # it may have been resumed since
            delete_run(RunFolders.of(config, run))
            deleted += 1
    print(f"deleted: {deleted}")


def _may_be_deleted(run: str, config: Config) -> bool:
    """Return whether a run is certainly not in training; print a line if not."""
    if not may_be_in_training(RunFolders.of(config, run), config.WORKER_TIMEOUT_S):
        return True
    print(printable(f"kept: {run} is not finished and has changed lately, so it may be in training"))
    return False

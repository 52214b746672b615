"""`run.py show`: all that is known of one run, as text, as JSON, or as files that name nobody."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from commands.runs import FOLDERS
from helpers.federated.sites.site import described
from helpers.global_config import Config
from helpers.monitoring.result_tables import NOTHING
from helpers.reporting.page import number
from helpers.reporting.run_files import RunFiles, read_run
from helpers.reporting.summaries import check_known
from helpers.run_records.origin import host_of
from helpers.run_records.tables import TEST_COLUMNS, read_table
from helpers.settings.command_line import ArgumentParser, add_settings, config_from_arguments
from helpers.settings.errors import UserError
from helpers.settings.outside_text import shown

UNKNOWN = "not recorded"
ROUND_HEADERS = {
    "round": "round",
    "num_clients": "clients",
    "roc_auc": "validation AUC",
    "seconds": "seconds",
}
DIGEST_DIGITS = 16


def main(arguments: Sequence[str]) -> int:
    """Run the command; return the exit status."""
    parser = ArgumentParser(prog="run.py show", description="Shows all that is known of one run.")
    parser.add_argument("run", metavar="RUN", help="name of the run")
    parser.add_argument("--json", action="store_true", help="as JSON, with every package and setting")
    parser.add_argument(
        "--anonymous", action="store_true",
        help="write report and tables without file names, patients, sites, hosts and pictures to --out",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for --anonymous, new or empty")
    add_settings(parser, Config, only=FOLDERS)
    options = parser.parse_args(arguments)
    if options.anonymous != (options.out is not None):
        raise UserError("--anonymous and --out DIR belong together: give both or neither")
    config = config_from_arguments(Config, options)
    check_known(config.METRICS_DIR, [options.run])
    if options.anonymous:
        from helpers.reporting.anonymous import write_anonymous  # needs OpenCV, the rest does not

        for file in write_anonymous(config.METRICS_DIR, config.MODELS_DIR, options.run, options.out):
            print(file)
    elif options.json:
        print(json.dumps(as_json(config, options.run), indent=1, sort_keys=True))
    else:
        show(read_run(config.METRICS_DIR, config.MODELS_DIR, options.run), config)
    return 0


def as_json(config: Config, run: str) -> dict[str, Any]:
    """Return run.json, the state, and the rows of rounds and tests, as they are recorded.

    The rows of sites.csv are `test_of_sites`, since `sites` of run.json are the sites.
    """
    files = read_run(config.METRICS_DIR, config.MODELS_DIR, run)
    folder = config.METRICS_DIR / run
    tables = {
        name: read_table(folder / f"{file}.csv", []).to_dict("records")
        for name, file in (("rounds", "rounds"), ("test_of_sites", "sites"), ("test", "test"))
    }
    return {**files.facts, "state": files.state, "best": files.best, **tables}


def show(files: RunFiles, config: Config, console: Console | None = None) -> None:
    """Print a run: its origin, images, settings, rounds and test."""
    console = console or Console()
    console.print(shown(f"Run {files.run}", "bold"))
    _print_pairs(console, _origin(files))
    console.print("\nImages", style="bold")
    _print_pairs(console, _images(files))
    console.print("\nSettings other than the default", style="bold")
    defaults = Config.model_construct().for_run()
    changed = {name: value for name, value in files.settings.items() if value != defaults.get(name)}
    _print_pairs(console, sorted(changed.items()) or [("all", "default")])
    console.print("\nRounds", style="bold")
    console.print(_rounds(files))
    console.print("\nTest", style="bold")
    counts = ("round", "num_examples", "num_patients")
    known = [name for name in TEST_COLUMNS if _is_known(files.test.get(name))]
    test = [(name, number(files.test[name], 0 if name in counts else 3)) for name in known]
    _print_pairs(console, test or [("state", "not tested yet")])
    console.print("\nFiles", style="bold")
    for folder in (config.METRICS_DIR / files.run, config.MODELS_DIR / files.run):
        console.print(shown(f"  {folder}"), soft_wrap=True)


def _origin(files: RunFiles) -> Iterable[tuple[str, Any]]:
    """Yield when, where and with what a run was trained."""
    facts, hosts = files.facts, files.facts.get("hosts") or {}
    yield "started", facts.get("started_at", UNKNOWN)
    yield "ended", facts.get("ended_at", NOTHING if "started_at" in facts else UNKNOWN)
    yield "orchestrator", hosts.get("orchestrator", UNKNOWN)
    yield "files written on", hosts.get("writer", UNKNOWN)
    workers = {host_of(name) for name in files.clients["worker"] if name}
    yield "workers on", ", ".join(sorted(workers | set(hosts.get("workers") or ()))) or UNKNOWN
    git = facts.get("git", UNKNOWN)
    if isinstance(git, dict):
        git = f"{git.get('commit')}{', with changes that are not committed' * bool(git.get('is_dirty'))}"
    yield "git commit", git
    yield from files.versions.items()
    yield from (facts.get("environment") or {}).items()
    yield (
        "packages",
        f"{len(facts['packages'])} on record: --json lists them" if "packages" in facts else UNKNOWN,
    )


def _images(files: RunFiles) -> Iterable[tuple[str, Any]]:
    """Yield where the images are from, and how many are in each split; for sites, of each."""
    data = files.data
    for name in ("source", "license", "split_by", "grouped_by"):
        yield name.replace("_", " "), data.get(name) or UNKNOWN
    yield "digest", files.facts.get("data_digest") or UNKNOWN
    patients = data.get("patients") or {}
    for split, counts in (data.get("counts") or {}).items():
        of_class = _by_class(counts, files.class_names)
        yield split, f"{of_class}; patients: {patients.get(split, 'unknown')}"
    sites = described(files.state["sites"])["sites"] if files.state.get("sites") else []
    for site in sites:
        counts = "; ".join(
            f"{split}: {_by_class(of, files.class_names)}" for split, of in site["counts"].items()
        )
        yield f"site {site['name']}", f"digest {str(site['data_digest'])[:DIGEST_DIGITS]}; {counts}"


def _by_class(counts: dict[str, int], names: Sequence[str]) -> str:
    return ", ".join(f"{counts.get(str(label), 0)} {name}" for label, name in enumerate(names))


def _rounds(files: RunFiles) -> Table:
    table = Table(box=None, pad_edge=False)
    for header in ROUND_HEADERS.values():
        table.add_column(header, justify="right")
    table.add_column("digest of weights")
    for row in files.rounds.to_dict("records"):
        cells = [number(row[name], 0 if name in ("round", "num_clients") else 3) for name in ROUND_HEADERS]
        digest = str(row["weights_sha256"])[:DIGEST_DIGITS] or UNKNOWN
        best = " best" if row["round"] == files.best_round else ""
        table.add_row(*cells, shown(digest + best))
    return table


def _print_pairs(console: Console, pairs: Iterable[tuple[str, Any]]) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    for name, value in pairs:
        table.add_row(shown(f"  {name}"), shown(value))
    console.print(table)


def _is_known(value: Any) -> bool:
    return isinstance(value, int | float) and value == value

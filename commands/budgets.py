"""`--compare`: the same budget spent several ways, federated, pooled in one process, each client alone."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from helpers.federated.strategies import DEFAULT as DEFAULT_STRATEGY
from helpers.global_config import Config
from helpers.monitoring.result_tables import print_comparison
from helpers.reporting.compare_page import write_page
from helpers.reporting.run_files import read_run
from helpers.run_records.files import RunFolders
from helpers.run_records.paired_tests import compare_runs, write_comparison
from helpers.run_records.resume import check_name, config_to_resume
from helpers.settings.errors import ConfigError
from preprocessing.errors import name_some

Train = Callable[[argparse.Namespace, Config, str], None]


@dataclass(frozen=True)
class Way:
    """One training of a comparison.

    Attributes:
        name: what compare.csv calls it.
        run: name of its run.
        config: its settings.
    """

    name: str
    run: str
    config: Config

    @property
    def folders(self) -> RunFolders:
        return RunFolders.of(self.config, self.run)


def compare_budgets(options: argparse.Namespace, config: Config, run: str, train: Train) -> None:
    """Train every way and compare the tests: a table, metrics/<run>/compare.csv and compare.html.

    Args:
        options: the command line; with `resume`, ways that had begun go on.
        config: of the federated run; when it is resumed, what was not set now is as it was.
        run: its name; those of the others begin with it.
        train: does one training, with options, settings and name of its run.

    Raises:
        UserError, ClusterError, KeyboardInterrupt: as `train`; what is wrong about a setting or a name
            of any way is found before the first training.
    """
    if options.resume:
        check_name(run, RunFolders.of(config, run), resume=True)
        config = config_to_resume(RunFolders.of(config, run), config)
    ways = ways_of(config, run)
    begun = {way.run for way in ways if options.resume and way.folders.state.exists()}
    if not options.overwrite:
        _check_free([way for way in ways if way.run not in begun])
    console = Console()
    names = name_some([way.name for way in ways])
    console.print(f"{len(ways)} trainings, EPOCHS {config.EPOCHS} each: {names}", highlight=False)
    for number, way in enumerate(ways, 1):
        console.print(Text(f"Training {number} of {len(ways)}: {way.name}", style="bold"))
        resume = way.run if way.run in begun else None
        train(argparse.Namespace(**{**vars(options), "resume": resume}), way.config, way.run)
    _compare(console, config, ways)


def ways_of(config: Config, run: str) -> list[Way]:
    """What is trained, the federated run first.

    Every way has the same rounds and the same learning rate. Pooled, one client owns all rows, so that a
    round takes as long as all clients one after another: its deadline is num_workers times longer. Where
    there is one client, nothing is to be combined: whatever STRATEGY the federated run has, this is plain
    training.

    Raises:
        ConfigError: a setting makes the budgets differ, or a name is too long.
    """
    if config.num_workers == "auto":
        raise ConfigError(
            "num_workers: received auto; --compare trains every client alone and must know them: set a number"
        )
    number = config.num_clients
    if number is None:
        raise ConfigError(
            "NUM_CLIENTS: received 0 with PARTITION=site; --compare trains every site alone and must know "
            "how many there are: set it to the number of sites"
        )
    clients = config.clients_of(number)
    if len(clients) < number:
        raise ConfigError(
            f"CLIENTS: received {config.CLIENTS}; --compare spends the budget of all {number} "
            "clients; leave CLIENTS empty"
        )
    if config.CLIENT_FRACTION < 1:
        raise ConfigError(
            f"CLIENT_FRACTION: received {config.CLIENT_FRACTION}; --compare spends the budget of all "
            f"{number} clients in every round; set it to 1"
        )
    if config.PATIENCE:
        raise ConfigError(
            f"PATIENCE: received {config.PATIENCE}; --compare gives every way the same rounds; set it to 0"
        )
    one_client = {"STRATEGY": DEFAULT_STRATEGY, "MAX_UPDATE_NORM": 0.0}
    pooled = {
        **one_client,
        "num_workers": 1,
        "NUM_CLIENTS": 1,
        "PARTITION": "iid",
        "CLIENTS": (),
        "LR_SCALING": "none",
        "BASE_LR": config.learning_rate,
        "ROUND_DEADLINE_S": config.ROUND_DEADLINE_S * config.num_workers,
    }
    ways = [Way("federated", run, config), _changed(config, run, "pooled", pooled)]
    ways += [
        _changed(config, run, f"client {client} alone", {**one_client, "CLIENTS": (client,)})
        for client in clients
    ]
    for way in ways:
        check_name(way.run, way.folders, overwrite=True)
        Config.from_run(way.config.for_run())  # as a worker will check it
    return ways


def _changed(config: Config, run: str, name: str, changes: dict[str, object]) -> Way:
    return Way(name, f"{run}-{name.replace(' ', '-')}", config.model_copy(update=changes))


def _check_free(ways: list[Way]) -> None:
    taken = [way.run for way in ways if way.folders.exist()]
    if taken:
        raise ConfigError(
            f"--compare: these runs exist already: {name_some(taken)}; take another --run, or --overwrite to "
            "replace them"
        )


def _compare(console: Console, config: Config, ways: list[Way]) -> None:
    """Write and print what the ways' tests say."""
    table = compare_runs(config.METRICS_DIR, {way.name: way.run for way in ways}, config.SEED)
    folder = ways[0].folders.metrics
    write_comparison(folder / "compare.csv", table)
    files = [read_run(config.METRICS_DIR, config.MODELS_DIR, way.run) for way in ways]
    write_page(folder / "compare.html", files, table.to_dict("records"))
    print_comparison(console, table, [folder / "compare.csv", folder / "compare.html"])

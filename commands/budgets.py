"""`--compare`: trains federated, pooled and each client alone, with the same budget."""

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
from preprocessing.feed.partitioning import count_clients
from preprocessing.feed.run_data import prepared_data

Train = Callable[[argparse.Namespace, Config, str], None]


@dataclass(frozen=True)
class Budget:
    """One training of a comparison.

    Attributes:
        name: its name in compare.csv.
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
    """Run every training and compare the tests: a table, metrics/<run>/compare.csv and compare.html.

    Args:
        options: of the command line. With `resume`, trainings that had begun are continued.
        config: settings of the federated run. A resumed run keeps its own where none is given.
        run: name of the federated run; the names of the others begin with it.
        train: runs one training, with options, settings and name.

    Raises:
        UserError, ClusterError, KeyboardInterrupt: as `train`. Wrong settings and names of all trainings
            are found before the first one.
    """
    if options.resume:
        check_name(run, RunFolders.of(config, run), resume=True)
        config = config_to_resume(RunFolders.of(config, run), config)
    budgets = budgets_of(_with_number_of_sites(config), run)
    begun = {budget.run for budget in budgets if options.resume and budget.folders.state.exists()}
    if not options.overwrite:
        _check_free([budget for budget in budgets if budget.run not in begun])
    console = Console()
    names = name_some([budget.name for budget in budgets])
    console.print(f"{len(budgets)} trainings, EPOCHS {config.EPOCHS} each: {names}", highlight=False)
    for number, budget in enumerate(budgets, 1):
        console.print(Text(f"Training {number} of {len(budgets)}: {budget.name}", style="bold"))
        resume = budget.run if budget.run in begun else None
        train(argparse.Namespace(**{**vars(options), "resume": resume}), budget.config, budget.run)
    _compare(console, config, budgets)


def _with_number_of_sites(config: Config) -> Config:
    """Return the config with the number of sites, counted in the prepared images, as NUM_CLIENTS.

    Raises:
        UserError: the images cannot be prepared, or SITE_COLUMN is missing.
    """
    if config.PARTITION != "site" or config.num_clients is not None or config.num_workers == "auto":
        return config
    number = count_clients(prepared_data(config), config)
    return config.model_copy(update={"NUM_CLIENTS": number})


def budgets_of(config: Config, run: str) -> list[Budget]:
    """Return all trainings, the federated run first.

    All have the same rounds and the same learning rate. In the pooled one, one client has all rows and takes
    as long as all clients one after another, so its deadline is num_workers times longer. With one client
    nothing is combined, so pooled and single trainings are plain ones, whatever the STRATEGY.

    Raises:
        ConfigError: a setting makes the budgets differ, or a name is too long.
    """
    if config.num_workers == "auto":
        raise ConfigError(
            "num_workers: received auto; --compare trains every client alone and must know them: set a number"
        )
    number = config.num_clients
    assert number is not None  # by `_with_number_of_sites`
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
            f"PATIENCE: received {config.PATIENCE}; --compare gives all runs the same rounds; set it to 0"
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
    budgets = [Budget("federated", run, config), _changed(config, run, "pooled", pooled)]
    budgets += [
        _changed(config, run, f"client {client} alone", {**one_client, "CLIENTS": (client,)})
        for client in clients
    ]
    for budget in budgets:
        check_name(budget.run, budget.folders, overwrite=True)
        Config.from_run(budget.config.for_run())  # as a worker will check it
    return budgets


def _changed(config: Config, run: str, name: str, changes: dict[str, object]) -> Budget:
    return Budget(name, f"{run}-{name.replace(' ', '-')}", config.model_copy(update=changes))


def _check_free(budgets: list[Budget]) -> None:
    taken = [budget.run for budget in budgets if budget.folders.exist()]
    if taken:
        raise ConfigError(
            f"--compare: these runs already exist: {name_some(taken)}; take another --run, or --overwrite to "
            "replace them"
        )


def _compare(console: Console, config: Config, budgets: list[Budget]) -> None:
    """Write and print the comparison of the tests."""
    table = compare_runs(config.METRICS_DIR, {budget.name: budget.run for budget in budgets})
    folder = budgets[0].folders.metrics
    write_comparison(folder / "compare.csv", table)
    files = [read_run(config.METRICS_DIR, config.MODELS_DIR, budget.run) for budget in budgets]
    write_page(folder / "compare.html", files, table.to_dict("records"))
    print_comparison(console, table, [folder / "compare.csv", folder / "compare.html"])

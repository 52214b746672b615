"""The cases of the study of federated learning: names and options of its trainings."""

from collections.abc import Sequence
from dataclasses import dataclass

COMMON = (
    *("--recipe", "ultrasound_small"),
    *("--train-step", "fast", "--precision", "mixed_bfloat16"),
)
"""Options of every training. Cases add theirs."""
SITE_COLUMN = "device"
DIRICHLET_ALPHA = "0.3"
NUM_CLIENTS = 6
"""Clients of the cases with malicious ones. Multi-Krum has one more: for two it needs 2 · 2 + 3."""
NUM_MALICIOUS = 2
TUNED = (
    "The recipe's values come from trials on the same images with other splits (docs/recipes.md), so the "
    "AUCs may be slightly too high, for all cases alike. Each algorithm has one value that was tuned, with "
    "the same number of trainings: the one with the highest validation AUC of the first seed is used for all "
    "seeds. An AUC of about a hundred validation images is uncertain by ± .1, so this avoids bad values and "
    "does not find the best one. Nothing was chosen by test results."
)
"""The page's paragraph on tuning."""
LIES = {"labels": "labels flipped", "noise": "noise sent as update"}
"""The attacks of `lies.py`, and their titles on the page."""


@dataclass(frozen=True)
class Case:
    """A training that is repeated with each seed.

    Attributes:
        name: the end of the run's name.
        title: on the page.
        options: of the training command, in addition to COMMON, rounds and seed.
        lie: a key of LIES, or empty where all clients are honest.
    """

    name: str
    title: str
    options: tuple[str, ...]
    lie: str = ""


def pooled() -> Case:
    """Return the reference: one client with all training images, which is plain training."""
    return Case("pooled", "pooled", ("--num-clients", "1", "--partition", "iid"))


def partition_cases(num_sites: int) -> list[Case]:
    """Return FedAvg under three partitions, with as many clients as sites."""
    number = ("--num-clients", str(num_sites))
    dirichlet = ("--partition", "dirichlet", "--dirichlet-alpha", DIRICHLET_ALPHA)
    return [
        Case("iid", "FedAvg, iid", (*number, "--partition", "iid")),
        Case("site", f"FedAvg, by {SITE_COLUMN}", ("--partition", "site", "--site-column", SITE_COLUMN)),
        Case("dirichlet", f"FedAvg, Dirichlet {DIRICHLET_ALPHA}", (*number, *dirichlet)),
    ]


def local_cases(sites: Sequence[str]) -> list[Case]:
    """Return the trainings of each site with only its own images."""
    partition = ("--partition", "site", "--site-column", SITE_COLUMN)
    return [
        Case(f"alone-{client}", f"{site} alone", (*partition, "--clients", str(client)))
        for client, site in enumerate(sites)
    ]


@dataclass(frozen=True)
class Algorithm:
    """An algorithm with one value to tune.

    Attributes:
        name: in the names of its runs.
        title: on the page.
        options: of the training command.
        tuned: the option whose value is tuned.
        values: to try, from which validation chooses.
    """

    name: str
    title: str
    options: tuple[str, ...]
    tuned: str
    values: tuple[str, ...]

    def candidates(self, partition: Case) -> list[Case]:
        """Return a case for each value, under a partition."""
        return [
            Case(
                f"{partition.name}-{self.name}-{value}", f"{self.title}, {self.tuned} {value}",
                (*partition.options, *self.options, self.tuned, value),
            )
            for value in self.values
        ]  # fmt: skip


PLAIN_SGD = ("--momentum", "0")
"""Without momentum, as SCAFFOLD and FedNova need it; it takes about ten times the rate."""
PLAIN_RATES = ("0.05", "0.1", "0.2")
ALGORITHMS = (
    Algorithm("fedavg", "FedAvg", (), "--base-lr", ("0.01", "0.02", "0.04")),
    Algorithm("fedprox", "FedProx", ("--strategy", "fedprox"), "--proximal-mu", ("0.001", "0.01", "0.1")),
    Algorithm(
        "fedadam", "FedAdam", ("--strategy", "fedadam"), "--server-learning-rate", ("0.001", "0.003", "0.01")
    ),
    Algorithm("sgd", "FedAvg, plain SGD", PLAIN_SGD, "--base-lr", PLAIN_RATES),
    Algorithm(
        "scaffold", "SCAFFOLD, plain SGD", ("--strategy", "scaffold", *PLAIN_SGD), "--base-lr", PLAIN_RATES
    ),
    Algorithm(
        "fednova", "FedNova, plain SGD", ("--strategy", "fednova", *PLAIN_SGD), "--base-lr", PLAIN_RATES
    ),
)


def update_cases(num_sites: int) -> list[Case]:
    """Return FedAvg under the iid partition with smaller updates."""
    whole = partition_cases(num_sites)[0]
    return [
        Case(f"{whole.name}-{dtype}", f"{whole.title}, {dtype}", (*whole.options, "--update-dtype", dtype))
        for dtype in ("float16", "int8")
    ]


def honest() -> Case:
    """Return the reference of `liar_cases`: the same clients, all honest."""
    return Case("honest", f"FedAvg, all {NUM_CLIENTS} honest", _clients(NUM_CLIENTS))


def liar_cases() -> list[Case]:
    """Return two malicious clients with each attack against each rule."""
    more = NUM_CLIENTS + 1
    trim = str(round(NUM_MALICIOUS / NUM_CLIENTS + 0.005, 2))
    rules = [
        ("fedavg", "mean (FedAvg)", NUM_CLIENTS, ()),
        ("median", "median", NUM_CLIENTS, ("--strategy", "median")),
        ("trimmed", "trimmed mean", NUM_CLIENTS, ("--strategy", "trimmed_mean", "--trim-fraction", trim)),
        ("krum", "multi-Krum", more, ("--strategy", "multi_krum", "--num-malicious", str(NUM_MALICIOUS))),
    ]
    return [
        Case(f"{lie}-{name}", f"{title}, {NUM_MALICIOUS} of {count} lie", (*_clients(count), *options), lie)
        for lie in LIES
        for name, title, count, options in rules
    ]


def _clients(count: int) -> tuple[str, ...]:
    return ("--num-clients", str(count), "--partition", "iid")

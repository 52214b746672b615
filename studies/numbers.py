"""Strategies and accountants next to published numbers; makes its section of docs/numbers.md. Half a minute.

python -m studies.numbers
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if sys.path[0] == str(ROOT / "studies"):  # run as a script: `import run` must find the project's
    sys.path[0] = str(ROOT)

from studies.command import NUMBERS_PAGE, run_command  # noqa: E402

COMMAND = "python -m studies.numbers"


def run(page: Path) -> Path:
    """Write the page and return it."""
    from benchmarks.machine import describe
    from studies.known_answers import rows
    from studies.numbers_page import write_rows

    write_rows(page, "known_answers", rows(), COMMAND, describe([COMMAND])["commit"][:10])
    return page


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--page", type=Path, metavar="FILE", default=NUMBERS_PAGE, help="[docs/numbers.md]")
    options = parser.parse_args(arguments)
    return run_command(__file__, lambda: run(options.page))


if __name__ == "__main__":
    sys.exit(main())

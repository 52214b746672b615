"""The exception of preprocessing, and helpers for its messages.

UserError                    (helpers.global_config)
└── PreprocessingError       unsuitable images or prepared arrays
"""

from collections.abc import Sequence

from helpers.settings.errors import UserError
from helpers.settings.outside_text import printable

COMMAND = "python preprocessing/load_and_create_dataset.py"
NAMES_SHOWN = 10


class PreprocessingError(UserError):
    """Unsuitable images or prepared arrays; the message says which, and what to do."""


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: `1 image`, `2 images`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def name_some(names: Sequence[str]) -> str:
    """Join the first ten names, printable on one line, followed by the number of the others."""
    more = len(names) - NAMES_SHOWN
    shown = [printable(name).replace("\n", "\\n") for name in names[:NAMES_SHOWN]]
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def is_utf8(name: str) -> bool:
    """Return whether a name of a file can be written as UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True

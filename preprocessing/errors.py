"""The one exception of preprocessing, and the words its messages share.

UserError                    (helpers.global_config)
└── PreprocessingError       images or prepared arrays are not as needed: says which and what to do
"""

from collections.abc import Sequence

from helpers.settings.errors import UserError

COMMAND = "python preprocessing/load_and_create_dataset.py"
NAMES_SHOWN = 10


class PreprocessingError(UserError):
    """Images or prepared arrays are not as needed; the message says which and what to do."""


def counted(number: int, noun: str) -> str:
    """`1 image`, `2 images`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def name_some(names: Sequence[str]) -> str:
    """The first ten names, and how many more there are."""
    more = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")

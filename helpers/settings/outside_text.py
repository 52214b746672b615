"""Text from outside (names of files, classes, sites and runs, errors of workers), made harmless where it is
shown.

It could contain escape sequences of a terminal, Rich's markup, or a formula that a spreadsheet executes. This
module needs the standard library only; `shown` imports Rich when it is called.
"""

import re
import unicodedata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.text import Text

BIDIRECTIONAL = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that reorder the text after them."""
FORMULA = re.compile(r"'*[=+\-@\t\r]")


def printable(text: Any) -> str:
    r"""Return text for a terminal: control characters as `\x1b` and the like, line ends kept."""
    return "".join(character if _is_harmless(character) else _named(character) for character in str(text))


def shown(text: Any, style: str = "") -> "Text":
    """Return printable text in which Rich reads no markup."""
    from rich.text import Text

    return Text(printable(text), style=style)


def cell(value: Any) -> Any:
    """Return a value for a CSV file: text that a spreadsheet would execute gets an apostrophe in front."""
    return f"'{value}" if isinstance(value, str) and FORMULA.match(value) else value


def from_cell(value: Any) -> Any:
    """Return what `cell` received."""
    return value[1:] if isinstance(value, str) and value[:1] == "'" and FORMULA.match(value) else value


ESCAPES = {"\r": r"\\x0d", rf"\A(?={FORMULA.pattern})": "'"}
"""`cell` for whole columns, as `pandas.DataFrame.replace` takes it, and carriage returns, which end a row."""


def _is_harmless(character: str) -> bool:
    if character == "\n":
        return True
    return unicodedata.category(character) not in ("Cc", "Cs") and character not in BIDIRECTIONAL


def _named(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # Python's stand-in for a byte that is not UTF-8
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"

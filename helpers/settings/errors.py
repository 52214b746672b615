"""Errors that the user can correct. A command prints them in one line and exits with status 2.

UserError            a setting, a name, a file or another input is wrong
└── ConfigError      a setting is wrong
"""


def printable(text: str) -> str:
    r"""Return text that a terminal only shows: control characters and bytes that are not UTF-8 become `\x1b`.

    File names and other text from outside may contain escape sequences that change the terminal. Line breaks
    stay.
    """
    return "".join(one if one.isprintable() or one == "\n" else _escaped(one) for one in text)


def _escaped(one: str) -> str:
    number = ord(one)
    if 0xDC80 <= number <= 0xDCFF:  # Python's stand-in for a byte that is not UTF-8
        number -= 0xDC00
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"


class UserError(Exception):
    """An error that the user can correct; the message says what happened, where, and what to do."""

    def __str__(self) -> str:
        """Return the message, printable."""
        return printable(super().__str__())


class ConfigError(UserError):
    """A setting with a value that is not allowed; the message names setting, value and what is allowed."""

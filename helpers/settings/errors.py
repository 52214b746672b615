"""Errors that the user can correct. A command prints them in one line and exits with status 2.

UserError            a setting, a name, a file or another input is wrong
└── ConfigError      a setting is wrong
"""

from helpers.settings.outside_text import printable

DIVERGED = "the training diverged"
"""How the error of a client whose training diverges begins; `run.py tune` knows it by these words."""


class UserError(Exception):
    """An error that the user can correct; the message says what happened, where, and what to do."""

    def __str__(self) -> str:
        """Return the message, printable."""
        return printable(super().__str__())


class ConfigError(UserError):
    """A setting with a value that is not allowed; the message names setting, value and what is allowed."""


def how_to_install(name: str) -> str:
    """Return how to install the optional packages of requirements-`name`.txt, for an error message."""
    return f"`python run.py setup {name}` installs requirements-{name}.txt"

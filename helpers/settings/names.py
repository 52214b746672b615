"""Names of settings: the renamed ones, and suggestions for unknown ones."""

import difflib
import functools
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from helpers.settings.errors import ConfigError

RENAMED = {
    "NUM_LIARS": "NUM_MALICIOUS",
}
"""Former names of settings and what replaced them; every source of settings accepts both."""


def current_names(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings, such as those of a stored run, under their current names."""
    return {RENAMED.get(name, name): value for name, value in settings.items()}


def accept_former_names(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings under their current names, and print a line for a former name, once in a process.

    Args:
        settings: values from one source, by former or current name.

    Raises:
        ConfigError: a setting is given under both names.
    """
    for former in RENAMED.keys() & settings.keys():
        current = RENAMED[former]
        if current in settings:
            raise ConfigError(
                f"{former} and {current}: both are set, but they are the same setting; remove {former}"
            )
        _announce(former, current)
    return current_names(settings)


@functools.cache
def _announce(former: str, current: str) -> None:
    print(f"{former} is now {current}", file=sys.stderr)


def no_such(kind: str, name: str, known: Iterable[str], where_listed: str = "docs/configuration.md") -> str:
    """Return a message about an unknown name that suggests the nearest known one.

    Args:
        kind: what is named: `setting`, `option`.
        name: the unknown name.
        known: valid names.
        where_listed: where they are listed, for a name that resembles none of them.
    """
    by_upper = {each.upper(): each for each in known}
    nearest = difflib.get_close_matches(name.upper(), by_upper, n=1)
    advice = f"did you mean {by_upper[nearest[0]]}?" if nearest else f"{where_listed} lists them all"
    return f"{name}: there is no such {kind}; {advice}"

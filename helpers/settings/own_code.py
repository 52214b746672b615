"""User code that a setting names as package.module:name. Importing it runs it."""

import importlib
import re
import sys
from pathlib import Path
from typing import Any

from helpers.settings.errors import ConfigError

PROJECT = Path(__file__).resolve().parents[2]
REFERENCE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)


def import_own(setting: str, reference: str) -> Any:
    """Return the function or class that package.module:name names.

    Raises:
        ConfigError: there is no such module, its import fails, or it has no such function or class.
    """
    if str(PROJECT) not in sys.path:  # a worker started with the script `celery` lacks it
        sys.path.append(str(PROJECT))
    module, _, name = reference.partition(":")
    try:
        own = getattr(importlib.import_module(module), name, None)
    except Exception as error:  # a module may raise anything
        raise ConfigError(
            f"{setting}: received {reference!r}: importing {module} failed: {in_one_line(error)}; put it "
            "into the folder of the project, or install it, on every machine"
        ) from error
    if not callable(own):
        raise ConfigError(f"{setting}: received {reference!r}: {module} has no function or class {name}")
    return own


def in_one_line(error: BaseException) -> str:
    """Return the type and the text of an error of the user's code."""
    return " ".join(f"{type(error).__name__}: {error}".split())

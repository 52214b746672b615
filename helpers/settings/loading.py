"""Sources of settings: the TOML file and the environment; and messages about wrong values."""

import os
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from helpers.settings.errors import ConfigError
from helpers.settings.names import RENAMED, accept_former_names, no_such

PREFIX = "DT_"
WITHOUT_PREFIX = ("REDIS_URL",)
"""Settings that the environment may also name without the prefix, which then wins."""

EXPECTED = {
    "int_parsing": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_parsing": "expected a number",
    "bool_parsing": "expected true or false",
}
"""What pydantic's errors about text that it cannot parse mean, by their type."""


def read_file(path: Path, known: Collection[str]) -> dict[str, Any]:
    """Return the settings of a TOML file, by current name.

    Args:
        path: the file.
        known: names of all settings.

    Raises:
        ConfigError: the file cannot be read, or has an unknown setting.
    """
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"settings file {path}: not found") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"settings file {path}: {error}") from None
    by_upper = {name.upper(): name for name in (*known, *RENAMED)}
    for name in settings:
        if name.upper() not in by_upper:
            raise ConfigError(f"settings file {path}: {no_such('setting', name, known)}")
    return accept_former_names({by_upper[name.upper()]: value for name, value in settings.items()})


def read_environment(known: Collection[str]) -> dict[str, str]:
    """Return the settings of the environment, by current name; empty variables do not count.

    Args:
        known: names of all settings.

    Raises:
        ConfigError: there is no setting for a variable with the prefix.
    """
    variables = {PREFIX + name.upper(): name for name in (*known, *RENAMED)}
    for variable in sorted(os.environ):
        if variable.startswith(PREFIX) and variable.upper() not in variables:
            current = [PREFIX + name.upper() for name in known]
            raise ConfigError(f"environment variable {no_such('setting', variable, current)}")
    variables |= {name: name for name in WITHOUT_PREFIX if name in known}
    values = {variable.upper(): value for variable, value in os.environ.items() if value}
    present = {name: values[variable] for variable, name in variables.items() if variable in values}
    return accept_former_names(present)


def explain(problem: Mapping[str, Any], known: Collection[str]) -> str:
    """Return the message about one setting that pydantic refuses.

    Args:
        problem: an entry of `ValidationError.errors()`.
        known: names of all settings.
    """
    name = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return no_such("setting", name, known)
    if problem["type"] == "value_error":  # a sentence of helpers.settings.types, which has the value
        return f"{name}: {problem['msg'].removeprefix('Value error, ')}"
    return f"{name}: received {problem['input']!r}: {EXPECTED.get(problem['type'], problem['msg'])}"

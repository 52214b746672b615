"""Refusal of settings that are in conflict with others."""

from collections.abc import Mapping
from typing import Any

from helpers.settings.errors import ConfigError


def refuse(
    settings: Any, conflicts: Mapping[str, tuple[bool, str]], condition: str, alternative: str = ""
) -> None:
    """Refuse the first setting in conflict with a condition.

    Args:
        settings: the config.
        conflicts: for each setting, whether its value is in conflict, and why.
        condition: the other setting and its value.
        alternative: another remedy than the default value.
    """
    for name, (is_conflict, reason) in conflicts.items():
        if is_conflict:
            raise ConfigError(
                f"{name}: received {getattr(settings, name)!r} with {condition}: {reason}; "
                f"{alternative}leave {name} at its default, {getattr(type(settings), name)!r}"
            )

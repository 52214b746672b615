"""Settings as options of a command. It needs the standard library only, so that `run.py` can use it."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from helpers.settings.names import RENAMED, no_such
from helpers.settings.outside_text import printable

if TYPE_CHECKING:
    from helpers.settings.base import SettingsBase

SettingsClass = TypeVar("SettingsClass", bound="SettingsBase")
NOT_OPTIONS = ("REDIS_URL", "WEIGHT_STORE", "NAMESPACE", "DEPLOYMENT")
"""Workers need them from their environment, and other users can see the passwords of a command line."""


class ArgumentParser(argparse.ArgumentParser):
    """A parser that prints an error in one line and suggests the nearest option for an unknown one.

    Options cannot be abbreviated.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        options, unknown = self.parse_known_args(args, namespace)
        self.refuse_unknown(unknown)
        return options

    def refuse_unknown(self, words: Sequence[str]) -> None:
        """Exit with a line about the first word that the parser does not know, if there is one."""
        if unknown := [word for word in words if word.startswith("-")]:
            name = unknown[0].partition("=")[0]
            self.error(no_such("option", name, self._visible_options(), "--help"))
        if words:
            self.error(f"{words[0]}: unexpected argument; --help lists the options")

    def error(self, message: str) -> NoReturn:
        """Print the message in one line and exit with status 2."""
        print(f"error: {printable(message)}", file=sys.stderr)
        sys.exit(2)

    def _visible_options(self) -> list[str]:
        shown = (action for action in self._actions if action.help != argparse.SUPPRESS)
        return [option for action in shown for option in action.option_strings]


def option_of(name: str) -> str:
    """Return the option of a setting."""
    return "--" + name.lower().replace("_", "-")


def add_settings(
    parser: argparse.ArgumentParser, settings: "type[SettingsBase]", only: Iterable[str] = ()
) -> None:
    """Add `--config FILE` and one option for every setting.

    Args:
        parser: where to add them.
        settings: the class that declares the settings.
        only: names of the settings to add; empty for all.
    """
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file with settings")
    group = parser.add_argument_group("settings (see docs/configuration.md)")
    names = list(only) or [name for name in settings.model_fields if name not in NOT_OPTIONS]
    former = [name for name, current in RENAMED.items() if current in names]
    for name in names + former:
        group.add_argument(
            option_of(name),
            dest=name,
            default=argparse.SUPPRESS,
            metavar="VALUE",
            help=argparse.SUPPRESS if name in former else _help(settings, name),
        )


def config_from_arguments(settings: type[SettingsClass], arguments: argparse.Namespace) -> SettingsClass:
    """Make the config from parsed options of `add_settings`.

    Raises:
        ConfigError: as `SettingsBase.load`.
    """
    known = settings.model_fields.keys() | RENAMED.keys()
    values = {name: value for name, value in vars(arguments).items() if name in known}
    return settings.load(arguments.config, **values)


def _help(settings: "type[SettingsBase]", name: str) -> str:
    about = settings.describe(name)
    details = ", ".join(part for part in (about.range.replace("`", ""), about.unit) if part)
    return f"{about.text} [{details or about.type}; default {about.default}]".replace("%", "%%")

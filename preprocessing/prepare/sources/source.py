"""A source of images: how its images are listed and read, and which command-line options it has."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from preprocessing.prepare.sources.records import ImageSet

Progress = Callable[[str, int, int], None]
"""Called with the step, the amount done and the total."""


class Option(NamedTuple):
    """A command-line option of a source: `crop_breast` is `--crop-breast`.

    Attributes:
        name: keyword argument of `Source.find`.
        help: one line for --help.
        default: value without the option. False makes the option a flag.
        type: parses the option's text.
        metavar: name of the value in --help.
    """

    name: str
    help: str
    default: Any = ""
    type: Callable[[str], Any] = str
    metavar: str = "NAME"

    @property
    def flag(self) -> str:
        """The option as it is typed."""
        return f"--{self.name.replace('_', '-')}"


@dataclass(frozen=True)
class Source:
    """A source of images.

    Attributes:
        summary: the images, in a few words, for --help.
        find: lists the images below DATA_DIR, which some sources write first; called as
            `find(config, progress, **options)`, returns an ImageSet, whose `read` reads one file.
        options: its options; those of other sources are refused.
        data_dir: default folder, in which `{name}` stands for an option; empty: the setting DATA_DIR.
        examples: arguments after `--source NAME`, for --help.
    """

    summary: str
    find: Callable[..., ImageSet]
    options: tuple[Option, ...] = ()
    data_dir: str = ""
    examples: tuple[str, ...] = ()

    def default_dir(self, options: dict[str, Any]) -> Path | None:
        """Return the folder that the source uses without --data-dir; None: the setting DATA_DIR."""
        defaults = {option.name: option.default for option in self.options}
        return Path(self.data_dir.format(**(defaults | options))) if self.data_dir else None


POSITIVE_CLASS = Option("positive_class", "of two folders or labels, the one that is cancerous (1)")
"""Shared by the sources whose classes are named by folders or by manifest.csv."""

"""Command lines of `run.py repeat` and `tune`: options of a training, and of what is done with several."""

import argparse
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from commands.prepared_folder import prepared_folder
from commands.train import named_images
from commands.training_options import add_options, hide, parse
from helpers.global_config import Config
from helpers.run_records.files import RunFolders
from helpers.run_records.resume import check_name
from helpers.settings.command_line import ArgumentParser, config_from_arguments
from helpers.settings.errors import UserError
from preprocessing.feed.prepared_data import PreparedData


@dataclass(frozen=True)
class SeveralTrainings:
    """A command line that was read.

    Attributes:
        options: those that a training does not have.
        words: the options of each training, without its name.
        config: their settings.
        name: of all trainings together.
        again: the command that continues.
    """

    options: argparse.Namespace
    words: list[str]
    config: Config
    name: str
    again: str

    @classmethod
    def of(
        cls, command: str, make_parser: Callable[[Sequence[str]], ArgumentParser], arguments: Sequence[str]
    ) -> Self:
        """Read a command line; show the help if it asks for it.

        Args:
            command: such as `python run.py repeat`.
            make_parser: returns the parser of the options that a training does not have.
            arguments: the command line.

        Raises:
            UserError: an option is wrong, or a run has the name.
        """
        parser = make_parser(arguments)
        add_options(parser)
        hide(parser, "resume", "compare", "overwrite")
        parser.parse_args(arguments)  # shows the help or refuses unknown options
        options, rest = make_parser(arguments).parse_known_args(arguments)
        training = parse(rest)
        if training.resume or training.compare or training.overwrite:
            raise UserError(
                "--resume, --compare and --overwrite are for one training; the same command goes on"
            )
        config = config_from_arguments(Config, training)
        name = training.run or time.strftime("%Y-%m-%d_%H-%M-%S")
        check_free(RunFolders.of(config, name), name)
        again = f"{command} {shlex.join(without_run(arguments))} --run {name}"
        return cls(options, without_run(rest), config, name, again)

    def prepare(self) -> PreparedData:
        """Return the images, prepared on first use, after printing how to continue.

        Raises:
            UserError: they cannot be prepared.
        """
        print(f"To continue after an interruption: {self.again}", flush=True)
        return PreparedData.open(prepared_folder(self.config, named_images(self.options), self.again))


def check_free(folders: RunFolders, name: str) -> None:
    """Check that the name is not that of a run.

    Raises:
        UserError: it is, or it is no name.
    """
    check_name(name, folders, overwrite=True)
    if (folders.metrics / "run.json").exists() or folders.state.exists():
        raise UserError(f"--run {name}: a run has this name; choose another one")


def without_run(arguments: Sequence[str]) -> list[str]:
    """Return the options without --run NAME."""
    words, rest = iter(arguments), []
    for word in words:
        if word == "--run":
            next(words, None)
        elif not word.startswith("--run="):
            rest.append(word)
    return rest

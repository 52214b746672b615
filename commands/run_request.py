"""Request for a run: its checked options and prepared images."""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from commands.prepared_folder import folder_of_run, prepared_folder
from commands.training_options import parse
from helpers.global_config import Config
from helpers.run_records.files import RunFolders
from helpers.run_records.resume import check_name, config_to_resume
from helpers.settings.command_line import config_from_arguments
from helpers.settings.errors import ConfigError


@dataclass(frozen=True)
class RunRequest:
    """A run as asked for with the options of `distributed_training_index.py`.

    Attributes:
        arguments: these options.
        config: their settings. A resumed run keeps its own where none is given.
        run: name of the run.
        is_resumed: whether the run is continued.
    """

    arguments: list[str]
    config: Config
    run: str
    is_resumed: bool

    @classmethod
    def of(cls, arguments: Sequence[str], num_clients: int | None = None) -> Self:
        """Check the options of a training.

        Args:
            arguments: the options.
            num_clients: the number of clients, unless the options or settings give it.

        Raises:
            UserError: a setting or the name of the run is wrong.
        """
        arguments = list(arguments)
        options = parse(arguments)
        config = config_from_arguments(Config, options)
        run = options.resume or options.run or time.strftime("%Y-%m-%d_%H-%M-%S")
        if not (options.resume or options.run):
            arguments += ["--run", run]
        folders = RunFolders.of(config, run)
        check_name(run, folders, resume=bool(options.resume), overwrite=options.overwrite)
        if options.resume:
            config = config_to_resume(folders, config)
        if config.DATA_AT == "sites":
            raise ConfigError(
                "DATA_AT: received sites; this command starts workers that share the images of this machine. "
                "Start a worker at each site and run distributed_training_index.py (docs/sites.md)"
            )
        is_given = {"num_workers", "NUM_CLIENTS"} & config.model_fields_set or config.PARTITION == "site"
        if num_clients and not (is_given or options.resume):
            return cls.of([*arguments, "--num-workers", str(num_clients)])
        return cls(arguments, config, run, bool(options.resume))

    def with_images(self, images: argparse.Namespace | None = None, command: str = "") -> Self:
        """Return the request with the folder of its prepared images; see `prepared_folder`."""
        config = self.config
        if self.is_resumed and images is None and "DATA_DIR" not in config.model_fields_set:
            folder = folder_of_run(config, self.run)
        else:
            folder = prepared_folder(config, images, command)
        return self.with_prepared(folder)

    def with_prepared(self, folder: Path) -> Self:
        """Return the request with this folder of prepared images."""
        arguments = [*self.arguments, "--preprocessed-dir", str(folder)]
        config = self.config.model_copy(update={"PREPROCESSED_DIR": folder})
        return replace(self, arguments=arguments, config=config)

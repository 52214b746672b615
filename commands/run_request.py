"""A run as asked for: its options checked and its images prepared before anything starts."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import distributed_training_index
from commands.prepared_folder import folder_of_run, prepared_folder
from helpers.global_config import Config, ConfigError, config_from_arguments
from helpers.run_records.files import RunFolders
from helpers.run_records.resume import check_name, config_to_resume


@dataclass(frozen=True)
class RunRequest:
    """A run as asked for on the command line of the training command.

    Attributes:
        arguments: options of the training command.
        config: their settings. A resumed run's own settings count where none is given.
        run: name of the run.
        is_resumed: whether the run goes on.
    """

    arguments: list[str]
    config: Config
    run: str
    is_resumed: bool

    @classmethod
    def of(cls, arguments: Sequence[str]) -> Self:
        """Check the options of the training command.

        Raises:
            UserError: a setting or the name of the run is wrong.
        """
        arguments = list(arguments)
        options = distributed_training_index.parse(arguments)
        config = config_from_arguments(options)
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
        return cls(arguments, config, run, bool(options.resume))

    def with_clients(self, number: int | None) -> Self:
        """Return the request with this number of clients, if it is given and nothing else sets it."""
        config = self.config
        is_set = {"num_workers", "NUM_CLIENTS"} & config.model_fields_set or config.PARTITION == "site"
        if number is None or is_set or self.is_resumed:
            return self
        return self.of([*self.arguments, "--num-workers", str(number)])

    def with_images(self, source_options: Sequence[str] = (), command: str = "") -> Self:
        """Return the request with the folder of its prepared images; see `prepared_folder`."""
        config = self.config
        if self.is_resumed and not source_options and "DATA_DIR" not in config.model_fields_set:
            folder = folder_of_run(config, self.run)
        else:
            folder = prepared_folder(config, source_options, command)
        arguments = [*self.arguments, "--preprocessed-dir", str(folder)]
        return replace(
            self, arguments=arguments, config=config.model_copy(update={"PREPROCESSED_DIR": folder})
        )

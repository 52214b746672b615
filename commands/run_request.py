"""Request for a run: its checked options and prepared images."""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from commands.living_run import take_from_others
from commands.prepared_folder import folder_of_run, prepared_folder
from commands.training_options import parse
from helpers.architectures.imagenet_package import packaged_file
from helpers.cluster.versions import versions_here
from helpers.global_config import Config
from helpers.run_records.files import RunFolders
from helpers.run_records.origin import has_ended
from helpers.run_records.resume import check_name, check_same, config_to_resume
from helpers.settings.command_line import config_from_arguments
from helpers.settings.errors import ConfigError
from preprocessing.feed.prepared_data import PreparedData


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
        if folders.exist() and not options.take_over:
            take_from_others(run, config.MODELS_DIR, force=False)
        if options.resume:
            config = config_to_resume(folders, config)
        elif config.PRETRAINED == "package":  # the worker that averages would find out after half a minute
            packaged_file()
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

    def is_done(self) -> bool:
        """Return whether the run to resume is finished, so that nothing is left to do.

        Raises:
            ConfigError: its settings, images or versions were others; `--force` continues it with these.
        """
        options = parse(self.arguments)
        if not self.is_resumed or options.compare or options.force:
            return False
        from preprocessing.feed.custom_augmentation import embed_custom_augmentation
        from preprocessing.feed.run_data import with_data_settings

        data = PreparedData.open(self.config.PREPROCESSED_DIR)
        config = embed_custom_augmentation(with_data_settings(self.config, data))  # as the training has it
        folders = RunFolders.of(config, self.run)
        facts = {"settings": config.for_run(), "data_digest": data.digest, "versions": versions_here()}
        check_same(folders, facts, force=False)
        results = (folders.metrics / "test.csv", folders.models / "best.keras")
        return has_ended(folders) and all(file.exists() for file in results)

    def with_prepared(self, folder: Path) -> Self:
        """Return the request with this folder of prepared images."""
        arguments = [*self.arguments, "--preprocessed-dir", str(folder)]
        config = self.config.model_copy(update={"PREPROCESSED_DIR": folder})
        return replace(self, arguments=arguments, config=config)

"""Repetitions of one training: over seeds, over folds, or with the images of one site left out in turn."""

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from commands.run_request import RunRequest
from helpers.global_config import Config
from helpers.run_records.files import RunFolders
from helpers.run_records.resume import is_finished
from helpers.settings.errors import UserError
from preprocessing.feed.custom_augmentation import embed_custom_augmentation
from preprocessing.feed.prepared_data import PreparedData
from preprocessing.feed.run_data import with_data_settings
from preprocessing.prepare.divisions import Members, as_prepared, by_column, by_fold, by_seed
from preprocessing.prepare.resplitting import resplit

MOST_FOLDS = 20
OTHER_LETTERS = re.compile(r"[^A-Za-z0-9._]+")


@dataclass(frozen=True)
class Repetition:
    """One training of several.

    Attributes:
        name: on the page, such as `seed 2`.
        run: name of its run.
        options: of the training, in addition to those of all.
        folder: of its prepared images.
    """

    name: str
    run: str
    options: tuple[str, ...]
    folder: Path

    def request(self, arguments: Sequence[str], num_workers: int | None) -> RunRequest | None:
        """Return the request to train it, or to continue it; None if it is finished.

        Args:
            arguments: the options of all trainings.
            num_workers: number of workers, if it is given.

        Raises:
            UserError: it is finished with other settings or images, or an option is wrong.
        """
        words = [*arguments, *self.options]
        new = RunRequest.of([*words, "--run", self.run, "--overwrite"], num_workers).with_prepared(
            self.folder
        )
        data, folders = PreparedData.open(self.folder), RunFolders.of(new.config, self.run)
        config = embed_custom_augmentation(with_data_settings(new.config, data))  # as the training has it
        if is_finished(folders, config.for_run(), data.digest):
            return None
        if not folders.state.exists():
            return new
        return RunRequest.of([*words, "--resume", self.run], num_workers).with_prepared(self.folder)


def add_repetition_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what is repeated."""
    group = parser.add_argument_group("what is repeated (one of them)")
    kinds = group.add_mutually_exclusive_group()
    kinds.add_argument("--seeds", metavar="1..5", help="seeds, as 1..5 or 1,2,7; all have one split")
    kinds.add_argument("--folds", type=int, metavar="N", help="N folds by patient; each is the test once")
    kinds.add_argument("--fold-column", metavar="NAME", help="folds of a column of manifest.csv")
    kinds.add_argument(
        "--leave-out", metavar="COLUMN", help="each value of a column, such as device, is the test once"
    )
    group.add_argument(
        "--resplit", action="store_true", help="with --seeds: each seed splits the images again"
    )


def check_repetition_options(options: argparse.Namespace, config: Config) -> None:
    """Check the options of `add_repetition_options`, before images are prepared.

    Raises:
        UserError: one is wrong or missing.
    """
    if options.resplit and not options.seeds:
        raise UserError("--resplit: it is for --seeds; folds split the images anyway")
    if options.seeds:
        read_seeds(options.seeds)
        if "SEED" in config.model_fields_set:
            raise UserError("--seed and --seeds: give one of them")
    elif options.folds is not None and not 2 <= options.folds <= MOST_FOLDS:
        raise UserError(f"--folds: received {options.folds}; expected 2 to {MOST_FOLDS}")
    elif not (options.folds or options.fold_column or options.leave_out):
        raise UserError("repeat: say what is repeated: --seeds 1..5, --folds 5, --fold-column or --leave-out")


def repetitions_of(
    options: argparse.Namespace, name: str, config: Config, data: PreparedData
) -> list[Repetition]:
    """Return all trainings; images are split again where they need it.

    Args:
        options: of `add_repetition_options`, checked.
        name: the names of the runs begin with it.
        config: settings of all trainings.
        data: the prepared images.

    Raises:
        UserError: the images cannot be split so.
    """
    if options.seeds:
        return _by_seed(options, name, config, data)
    seed, fraction = config.SEED, config.VALIDATION_FRACTION
    how = f"seed-{seed}-{fraction:g}"
    if options.folds:
        divisions = by_fold(data, options.folds, seed, fraction)
        how = f"of-{options.folds}-{how}"
    elif options.fold_column:
        by_value = by_column(data, options.fold_column, seed, fraction, may_divide=False)
        divisions = {f"fold {value}": members for value, members in by_value.items()}
        how = f"{options.fold_column}-{how}"
    else:
        by_value = by_column(data, options.leave_out, seed, fraction, may_divide=True)
        divisions = {f"without {value}": members for value, members in by_value.items()}
        how = f"{options.leave_out}-{how}"
    return [
        Repetition(title, run, (), _resplit(config, data, members, f"{run.removeprefix(f'{name}-')}-{how}"))
        for (title, members), run in zip(divisions.items(), _runs(name, list(divisions)), strict=True)
    ]


def _by_seed(options: argparse.Namespace, name: str, config: Config, data: PreparedData) -> list[Repetition]:
    """Return a training for each seed, all with the splits of the images unless they are split again."""
    repetitions = []
    for seed in read_seeds(options.seeds):
        members, place = as_prepared(data), "as-prepared"
        if options.resplit:
            fractions = config.TEST_FRACTION, config.VALIDATION_FRACTION
            members = by_seed(data, seed, *fractions)
            place = f"seed-{seed}-{fractions[0]:g}-{fractions[1]:g}"
        folder = _resplit(config, data, members, place)
        repetitions.append(Repetition(f"seed {seed}", f"{name}-seed-{seed}", ("--seed", str(seed)), folder))
    return repetitions


def read_seeds(text: str) -> list[int]:
    """Return the seeds of `1..5` or `1,2,7`.

    Raises:
        UserError: it is something else, or fewer than two.
    """
    seeds: list[int] = []
    for part in text.split(","):
        if not (found := re.fullmatch(r"(\d+)(?:\.\.(\d+))?", part.strip())):
            raise UserError(f"--seeds: received {text}; expected seeds as 1..5 or 1,2,7")
        seeds += range(int(found[1]), int(found[2] or found[1]) + 1)
    if len(set(seeds)) < max(2, len(seeds)):
        raise UserError(f"--seeds: received {text}; expected at least two different seeds")
    return seeds


def _resplit(config: Config, data: PreparedData, members: Members, place: str) -> Path:
    """Return the folder with the images in these splits, in PREPROCESSED_DIR."""
    name = OTHER_LETTERS.sub("-", f"{data.digest[:8]}-{place}")
    return resplit(data, members, config.PREPROCESSED_DIR / name).folder


def _runs(name: str, titles: Sequence[str]) -> list[str]:
    """Return the names of the runs: the titles where they make different names, otherwise with numbers."""
    names = [f"{name}-{OTHER_LETTERS.sub('-', title).strip('-')}" for title in titles]
    if len(set(names)) == len(names):
        return names
    return [f"{one}-{number}" for number, one in enumerate(names, 1)]

"""Preparation of images: files on disk to training, validation and test arrays; also the command."""

import argparse
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

if __package__ in (None, ""):  # run as a script: Python then looks for modules in this folder only
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from helpers.settings.interrupts import end_quietly

    sys.excepthook = end_quietly

import numpy as np

from helpers.global_config import Config
from helpers.settings.command_line import config_from_arguments
from helpers.settings.errors import UserError
from helpers.settings.outside_text import printable
from preprocessing.command_line import SETTINGS, parse
from preprocessing.errors import COMMAND, PreprocessingError, counted, is_utf8, name_some
from preprocessing.feed.prepared_data import PreparedData
from preprocessing.prepare.audit import (
    REFUSED_AUDIT,
    Finding,
    audit_images,
    copies_to_join,
    group_images,
    refuse_findings,
    write_audit,
)
from preprocessing.prepare.dataset_writer import Example, write_dataset
from preprocessing.prepare.duplicates import find_copies, make_thumbnails
from preprocessing.prepare.image_reader import Reading, read_images
from preprocessing.prepare.sources import DEFAULT_SOURCE, list_images
from preprocessing.prepare.sources.records import ImageRecord, ImageSet
from preprocessing.prepare.sources.source import Progress
from preprocessing.prepare.splitting import split_rows, use_given_splits
from preprocessing.terminal_output import print_summary, progress_bar

PIXELS = "all.npy"
NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})


def prepare(
    config: Config,
    source: str = DEFAULT_SOURCE,
    skip_unreadable: bool = False,
    progress: Progress = lambda step, done, total: None,
    allow: Collection[str] = (),
    options: Mapping[str, Any] = NO_OPTIONS,
    command: str = COMMAND,
) -> PreparedData:
    """Write the splits of the images under `config.DATA_DIR` to `config.PREPROCESSED_DIR`.

    Args:
        config: uses DATA_DIR, PREPROCESSED_DIR, CLASS_NAMES and SETTINGS.
        source: name of a source; see `get_source`.
        skip_unreadable: list unreadable images in the manifest and leave them out, instead of refusing them.
        progress: called with the step, the number of images done and the total.
        allow: `leaks`, `label_conflicts`: kinds of findings to keep instead of refusing them.
        options: options of the source.
        command: the command that error messages suggest, with one more option.

    Raises:
        PreprocessingError: unsuitable input, or unwritable output. Earlier arrays in the output folder are
            unchanged. If findings are refused, audit-refused.csv next to them lists them all.
    """
    _refuse_unwritable_names([str(config.DATA_DIR), str(config.PREPROCESSED_DIR)])
    try:
        images = list_images(source, options, config, progress)
        records = images.records
        _refuse_unwritable_names([record.file for record in records])
        # Refuse images that cannot be split before reading any.
        _split(records, group_images(records, ()), config, images.classes)
        config.PREPROCESSED_DIR.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".preparing-", dir=config.PREPROCESSED_DIR))
        try:
            readings = _read(scratch, images, config, progress)
            if not skip_unreadable:
                _refuse_unreadable(records, readings, config, command)
            metadata = {
                "source": source,
                "data_dir": config.DATA_DIR.resolve().name,
                "classes": list(images.classes),
                "settings": config.model_dump(mode="json", include=set(SETTINGS)),
                "allowed": sorted(set(allow)),
                **images.metadata,
            }
            _write_splits(scratch, images, readings, config, metadata, command, progress)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        raise PreprocessingError(
            f"{error.filename or config.PREPROCESSED_DIR}: {error.strerror or error}; "
            "free disk space, permit access, or name other folders with --data-dir and --out"
        ) from error
    return PreparedData.open(config.PREPROCESSED_DIR)


def _read(scratch: Path, images: ImageSet, config: Config, progress: Progress) -> list[Reading]:
    """Read all images into one array in `scratch`."""
    files = [record.file for record in images.records]
    shape = (*config.INPUT_SHAPE, config.INPUT_DIM)
    step = partial(progress, "Reading images")
    return read_images(config.DATA_DIR, files, images.read, shape, scratch / PIXELS, step)


def _refuse_unwritable_names(names: Sequence[str]) -> None:
    """Refuse names that are not UTF-8, because manifest.json and audit.csv could not contain them."""
    if wrong := [name for name in names if not is_utf8(name)]:
        raise PreprocessingError(
            f"{counted(len(wrong), 'name')} of files or folders not in UTF-8: {name_some(wrong)}; rename "
            "(convmv -f latin1 -t utf8 --notest -r FOLDER renames all from Latin-1)"
        )


def _refuse_unreadable(
    records: Sequence[ImageRecord], readings: Sequence[Reading], config: Config, command: str
) -> None:
    pairs = zip(records, readings, strict=True)
    problems = [f"{record.file} ({reading.problem})" for record, reading in pairs if reading.problem]
    if problems:
        raise PreprocessingError(
            f"{config.DATA_DIR}: {len(problems)} of {len(records)} images cannot be read: "
            f"{name_some(problems)}; replace or remove them, or leave them out: {command} --skip-unreadable"
        )


def _write_splits(
    scratch: Path,
    images: ImageSet,
    readings: Sequence[Reading],
    config: Config,
    metadata: dict[str, Any],
    command: str,
    progress: Progress,
) -> None:
    """Audit the readable images, split them and write the splits to the output folder."""
    pixels = scratch / PIXELS
    rows = [row for row, reading in enumerate(readings) if not reading.problem]
    records = [images.records[row] for row in rows]
    checksums = [readings[row].sha256 for row in rows]
    thumbnails = make_thumbnails(pixels, rows, partial(progress, "Reducing images"))
    step = partial(progress, "Comparing images")
    copies = find_copies(checksums, thumbnails, step, near=config.NEAR_COPIES != "off")
    joined = copies_to_join(records, copies, near=config.NEAR_COPIES == "check")
    if config.NEAR_COPIES != "check":
        metadata["near_copies"] = config.NEAR_COPIES
    findings = audit_images(records, copies, joined, near_counts=config.NEAR_COPIES == "check")
    try:
        refuse_findings(findings, metadata["allowed"], command)
    except PreprocessingError as error:
        write_audit(scratch / REFUSED_AUDIT, findings)
        listed = (scratch / REFUSED_AUDIT).replace(config.PREPROCESSED_DIR / REFUSED_AUDIT)
        raise PreprocessingError(f"{error}; all are listed in {listed}") from None
    findings += [
        Finding("cropped", record.file, "", readings[row].cut)
        for record, row in zip(records, rows, strict=True)
        if readings[row].cut
    ]
    groups = group_images(records, joined)
    metadata["left_out"] = [
        {"file": record.file, "reason": reading.problem}
        for record, reading in zip(images.records, readings, strict=True)
        if reading.problem
    ]
    examples = [Example(*each) for each in zip(records, rows, checksums, groups.tolist(), strict=True)]
    splits = _split(records, groups, config, images.classes)
    write_dataset(config.PREPROCESSED_DIR, scratch, pixels, splits, examples, findings, metadata)


def _split(
    records: Sequence[ImageRecord], groups: np.ndarray, config: Config, classes: Sequence[str]
) -> dict[str, np.ndarray]:
    labels = np.array([record.label for record in records], dtype=np.int64)
    splits = [record.split for record in records if record.split is not None]
    if splits:
        return use_given_splits(labels, splits, classes)
    alone = len(np.unique(groups)) == len(groups)
    fractions = config.TEST_FRACTION, config.VALIDATION_FRACTION
    return split_rows(labels, None if alone else groups, *fractions, config.SEED, classes)


def prepare_as_asked(options: argparse.Namespace, config: Config, command: str) -> PreparedData:
    """Prepare images as a command line says, with a progress bar, and print a summary.

    Args:
        options: of the command line.
        config: its settings.
        command: as for `prepare`.

    Raises:
        PreprocessingError: as `prepare`.
    """
    with progress_bar() as progress:
        prepared = prepare(
            config,
            options.source,
            options.skip_unreadable,
            progress,
            options.allow,
            options.source_options,
            command,
        )
    print_summary(prepared)
    return prepared


def main(arguments: Sequence[str] | None = None, command: str = COMMAND) -> int:
    """Run the command, of which `command` is the beginning, and return its exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that clean-up runs
    try:
        options = parse(arguments, command)
        command = " ".join([command, shlex.join(arguments)]).strip()
        prepare_as_asked(options, config_from_arguments(Config, options), command)
    except UserError as error:
        print(f"error: {printable(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; earlier output is untouched", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

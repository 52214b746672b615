"""Images on disk → training, validation and test arrays: `prepare`, and the command around it."""

import argparse
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # run as a script, where Python looks for modules beside it only
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from helpers.global_config import Config, UserError, add_settings, config_from_arguments
from preprocessing.audit import REFUSED_AUDIT, audit_images, group_images, refuse_findings, write_audit
from preprocessing.dataset_writer import Example, write_dataset
from preprocessing.duplicates import find_copies, make_thumbnails
from preprocessing.errors import COMMAND, PreprocessingError, name_some
from preprocessing.image_reader import Reading, read_images
from preprocessing.prepared_data import PreparedData
from preprocessing.sources.demo_mammograms import write_demo_images
from preprocessing.sources.image_folder import ImageRecord, find_images
from preprocessing.splitting import split_rows, use_given_splits
from preprocessing.terminal_output import print_summary, progress_bar

SOURCES = ("folder", "demo")
DEMO_DIR = Path("demo/images")
PIXELS = "all.npy"
SETTINGS = ("INPUT_SHAPE", "SEED", "TEST_FRACTION", "VALIDATION_FRACTION")
Progress = Callable[[str, int, int], None]
HELP = """\
Reads the images under --data-dir, resizes them to INPUT_SHAPE, divides them into training, validation and
test, and writes x_train.npy, y_train.npy, x_val.npy, …, audit.csv and manifest.json to --out. Copies of an
image, exact or near, stay in one split.
"""
EXAMPLES = """\
your own images:
  Put them in two folders; PNG, JPEG, BMP, TIFF and PGM are read, grey or colour, 8 or 16 bit:
      vanitha_mam_breast_cancer_dataset/0/…   non-cancerous
      vanitha_mam_breast_cancer_dataset/1/…   cancerous
  With several images of a patient, add manifest.csv there, with the columns file (0/image.png) and patient:
  then no patient is in two splits. A column split (train, val, test) gives the splits yourself.

examples:
  python preprocessing/load_and_create_dataset.py
  python preprocessing/load_and_create_dataset.py --data-dir my_images --input-shape 64,64
  python preprocessing/load_and_create_dataset.py --source demo --input-shape 64,64

exit status: 0 done; 2 bad input or setting, earlier output untouched; 130 interrupted
"""


def prepare(
    config: Config,
    source: str = "folder",
    skip_unreadable: bool = False,
    progress: Progress = lambda step, done, total: None,
    allow: Collection[str] = (),
) -> PreparedData:
    """Write the splits of the images under `config.DATA_DIR` to `config.PREPROCESSED_DIR`.

    Args:
        config: uses DATA_DIR, PREPROCESSED_DIR, INPUT_SHAPE, SEED, TEST_FRACTION, VALIDATION_FRACTION.
        source: `folder`; or `demo`, which first writes the demo images to DATA_DIR.
        skip_unreadable: leave unreadable images out and list them in the manifest, instead of refusing.
        progress: called with the step, the number of images done and of all.
        allow: `leaks`, `label_conflicts`: what the audit finds of these is kept instead of refused.

    Raises:
        PreprocessingError: the input does not fit or the output cannot be written; the arrays in the
            output folder are then as they were before. Beside them, audit-refused.csv lists what was
            found, if that is the reason.
    """
    if source not in SOURCES:
        raise PreprocessingError(f"--source: received {source!r}, expected one of {', '.join(SOURCES)}")
    try:
        if source == "demo":
            write_demo_images(config.DATA_DIR, config.SEED)
        records = find_images(config.DATA_DIR)
        # What cannot be split is refused before anything is read.
        _split(records, group_images(records, ()), config)
        config.PREPROCESSED_DIR.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".preparing-", dir=config.PREPROCESSED_DIR))
        try:
            readings = _read(scratch, records, config, skip_unreadable, progress)
            _fill(scratch, records, readings, config, source, allow, progress)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        raise PreprocessingError(
            f"{error.filename or config.PREPROCESSED_DIR}: {error.strerror or error}; "
            "free disk space or permit access, or name other folders with --data-dir and --out"
        ) from error
    return PreparedData.open(config.PREPROCESSED_DIR)


def _read(
    scratch: Path, records: Sequence[ImageRecord], config: Config, skip_unreadable: bool, progress: Progress
) -> list[Reading]:
    """Read all images into one array in `scratch`."""
    files = [record.file for record in records]
    step = partial(progress, "Reading images")
    readings = read_images(config.DATA_DIR, files, config.INPUT_SHAPE, scratch / PIXELS, step)
    problems = [
        f"{file} ({item.problem})" for file, item in zip(files, readings, strict=True) if item.problem
    ]
    if problems and not skip_unreadable:
        raise PreprocessingError(
            f"{config.DATA_DIR}: {len(problems)} of {len(files)} images cannot be read: "
            f"{name_some(problems)}; replace or remove them, or leave them out: {COMMAND} --skip-unreadable"
        )
    return readings


def _fill(
    scratch: Path,
    all_records: Sequence[ImageRecord],
    readings: Sequence[Reading],
    config: Config,
    source: str,
    allow: Collection[str],
    progress: Progress,
) -> None:
    """Audit what was read, split it and put the splits in place."""
    pixels = scratch / PIXELS
    rows = [row for row, reading in enumerate(readings) if not reading.problem]
    records = [all_records[row] for row in rows]
    checksums = [readings[row].sha256 for row in rows]
    thumbnails = make_thumbnails(pixels, rows, partial(progress, "Reducing images"))
    copies = find_copies(checksums, thumbnails, partial(progress, "Comparing images"))
    findings = audit_images(records, copies)
    try:
        refuse_findings(findings, allow)
    except PreprocessingError as error:
        write_audit(scratch / REFUSED_AUDIT, findings)
        listed = (scratch / REFUSED_AUDIT).replace(config.PREPROCESSED_DIR / REFUSED_AUDIT)
        raise PreprocessingError(f"{error}; {listed} lists all") from None
    groups = group_images(records, copies)
    about: dict[str, Any] = {
        "source": source,
        "data_dir": config.DATA_DIR.resolve().name,
        "settings": config.model_dump(mode="json", include=set(SETTINGS)),
        "allowed": sorted(set(allow)),
        "left_out": [
            {"file": record.file, "reason": reading.problem}
            for record, reading in zip(all_records, readings, strict=True)
            if reading.problem
        ],
    }
    examples = [Example(*each) for each in zip(records, rows, checksums, groups.tolist(), strict=True)]
    splits = _split(records, groups, config)
    write_dataset(config.PREPROCESSED_DIR, scratch, pixels, splits, examples, findings, about)


def _split(records: Sequence[ImageRecord], groups: np.ndarray, config: Config) -> dict[str, np.ndarray]:
    labels = np.array([record.label for record in records], dtype=np.int64)
    given = [record.split for record in records if record.split is not None]
    if given:
        return use_given_splits(labels, given)
    alone = len(np.unique(groups)) == len(groups)
    fractions = config.TEST_FRACTION, config.VALIDATION_FRACTION
    return split_rows(labels, None if alone else groups, *fractions, config.SEED)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(
        description=HELP, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--source", choices=SOURCES, default="folder", help="folder: your images; demo: makes some first")
    data_dir = f"folder of the images [{Config.DATA_DIR}; with --source demo {DEMO_DIR}]"
    add("--data-dir", dest="DATA_DIR", type=Path, metavar="DIR", default=argparse.SUPPRESS, help=data_dir)
    out = f"folder to write to [{Config.PREPROCESSED_DIR}]"
    add("--out", dest="PREPROCESSED_DIR", type=Path, metavar="DIR", default=argparse.SUPPRESS, help=out)
    add("--skip-unreadable", action="store_true", help="leave out images that cannot be read, and list them")
    allow: dict[str, Any] = {"dest": "allow", "action": "append_const", "default": []}
    leaks = "keep a given split although it parts a patient or copies"
    add("--allow-leaks", const="leaks", help=leaks, **allow)
    add("--allow-label-conflicts", const="label_conflicts", help="keep one image in both classes", **allow)
    add_settings(parser, only=SETTINGS)
    options = parser.parse_args(arguments)
    if options.source == "demo" and "DATA_DIR" not in options:
        options.DATA_DIR = DEMO_DIR  # never among the user's own images, which the settings may name
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # cleans up on the way out
    try:
        config = config_from_arguments(options)
        with progress_bar() as progress:
            prepared = prepare(config, options.source, options.skip_unreadable, progress, options.allow)
        print_summary(prepared)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; earlier output is untouched", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

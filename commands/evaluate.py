"""`run.py evaluate MODEL DATA`: all metrics of a trained model on other labeled images."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from helpers.global_config import Config
from helpers.settings.command_line import ArgumentParser, add_settings, config_from_arguments

HELP = """\
Tests a trained model on labeled images that it has not seen, such as those of another hospital. For research
only, no diagnosis.

MODEL is the name of a run, or a .keras or .onnx file. A model of this project brings its threshold, the names
of its classes and the size of its images. For another file, say how its pixels were scaled (--pixels).

DATA is a folder of images as for `prepare` (one folder per class, or a manifest.csv with the columns file and
label), that manifest.csv, a folder of DICOM files, or a folder that `prepare` has written.

It writes metrics/evaluations/NAME/:
  evaluation.csv    metrics with 95 % intervals over patients, at the stored threshold and at one chosen here
  groups.csv        the same for each value of the columns of manifest.csv, such as the device
  predictions.csv   score and decision of each image
  report.html       all of this on one page
"""
EXAMPLES = """\
examples:
  python run.py evaluate first hospital_b
  python run.py evaluate first hospital_b/manifest.csv --group-by device --merge-below 30
  python run.py evaluate models/first/best.onnx dicom_folder --positive-class malignant
  python run.py evaluate other.keras hospital_b --pixels -1..1 --threshold 0.4 --class-names benign,malignant
  python run.py evaluate first preprocessed --split test

Images that the model was trained on are recognized by their sha256 and named in a warning. An image that was
saved again in another format is not recognized.

exit status: 0 done, also with warnings; 2 the model or the images cannot be used
"""
SETTINGS = ("METRICS_DIR", "MODELS_DIR", "PREPROCESSED_DIR", "CLASS_NAMES", "INPUT_SHAPE")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the command line."""
    from commands.scorers import PIXELS

    parser = ArgumentParser(
        prog="run.py evaluate",
        description=HELP,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("model", metavar="MODEL", help="name of a run, or a .keras or .onnx file")
    add("data", type=Path, metavar="DATA", help="folder of images, its manifest.csv, or prepared images")
    add("--name", help="name of the evaluation; an earlier one of this name is replaced [MODEL-on-DATA]")
    add(
        "--group-by", nargs="+", metavar="COLUMN",
        help="columns of manifest.csv [all with 2 to 20 values, unless they are ids or fix the class]",
    )  # fmt: skip
    add(
        "--merge-below", type=int, default=0, metavar="N",
        help="put values with fewer than N images into one group, other [0: none]",
    )  # fmt: skip
    add("--split", choices=("all", "train", "val", "test"), default="all", help="of prepared images [all]")
    add("--pixels", choices=list(PIXELS), help="for other models: the range of their pixels")
    add("--threshold", type=float, help="for a model without a stored one [0.5]")
    add("--source", choices=("folder", "dicom"), help="kind of images [what the folder holds]")
    add("--positive-class", metavar="NAME", help="of two classes, the one that is class 1 of the model")
    add("--crop-breast", action="store_true", help="DICOM: cut mammograms down to the breast")
    add("--skip-unreadable", action="store_true", help="leave out unreadable images, and list them")
    add_settings(parser, Config, only=SETTINGS)
    options = parser.parse_args(arguments)
    if options.threshold is not None and not 0 < options.threshold < 1:
        parser.error(f"--threshold: received {options.threshold:g}, expected a number between 0 and 1")
    return options


def main(arguments: Sequence[str]) -> int:
    """Run the command; return the exit status."""
    options = parse(arguments)
    from commands.evaluation import evaluate_model  # after parsing, so that --help answers at once

    evaluate_model(options, config_from_arguments(Config, options))
    return 0

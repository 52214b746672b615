"""The options of the command that prepares images, and what its --help teaches."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from helpers.global_config import Config
from helpers.settings.command_line import ArgumentParser, add_settings
from preprocessing.prepare.sources.choice import SOURCES, SourceOptions
from preprocessing.prepare.sources.medmnist_sets import SETS

SETTINGS = ("INPUT_SHAPE", "INPUT_DIM", "SEED", "TEST_FRACTION", "VALIDATION_FRACTION")
"""Those that manifest.json records; the classes have a place of their own there."""
DEMO_DIR = Path("demo/images")
MEDMNIST_DIR = Path("medmnist")
HELP = """\
Reads the images under --data-dir, resizes them to INPUT_SHAPE, divides them into training, validation and
test, and writes x_train.npy, y_train.npy, x_val.npy, …, audit.csv and manifest.json to --out. Copies of an
image, exact or near, stay in one split.
"""
EXAMPLES = """\
your own images (docs/data.md has more):
  Put them in two folders; PNG, JPEG, BMP, TIFF and PGM are read, gray or color, 8 or 16 bit:
      vanitha_mam_breast_cancer_dataset/0/…   non-cancerous
      vanitha_mam_breast_cancer_dataset/1/…   cancerous
  or in two folders named by class, such as benign/ and malignant/; where it is not clear which is cancerous,
  --positive-class says it. More classes have more folders: 0/, 1/, 2/, … or one named for each; --class-names
  says what the numbers mean, or the order of the names, which else is alphabetical. With several images of a
  patient, add manifest.csv there, with the columns file (0/image.png) and patient: then no patient is in two
  splits. A column split (train, val, test) gives the splits yourself. With a column label the images may lie
  anywhere below --data-dir.

examples:
  python preprocessing/load_and_create_dataset.py
  python preprocessing/load_and_create_dataset.py --data-dir my_images --input-shape 64,64 --input-dim 1
  python preprocessing/load_and_create_dataset.py --data-dir my_images --positive-class carcinoma
  python preprocessing/load_and_create_dataset.py --data-dir my_images --class-names normal,benign,malignant
  python preprocessing/load_and_create_dataset.py --source dicom --data-dir mammograms --crop-breast
  python preprocessing/load_and_create_dataset.py --source medmnist --dataset breastmnist --size 64
  python preprocessing/load_and_create_dataset.py --source medmnist --dataset bloodmnist --size 64
  python preprocessing/load_and_create_dataset.py --source demo --input-shape 64,64

exit status: 0 done; 2 bad input or setting, earlier output untouched; 130 interrupted
"""


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command's options; DATA_DIR is there where one is given or the source has its own."""
    parser = ArgumentParser(
        description=HELP, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    kinds = (
        "folder: your images; dicom: your DICOM files; medmnist: a set of MedMNIST; demo: makes some first"
    )
    add("--source", choices=SOURCES, default="folder", help=kinds)
    places = f"with --source demo {DEMO_DIR}, with medmnist {MEDMNIST_DIR}/DATASET_SIZE"
    data_dir = f"folder of the images [{Config.DATA_DIR}; {places}]"
    add("--data-dir", dest="DATA_DIR", type=Path, metavar="DIR", default=argparse.SUPPRESS, help=data_dir)
    out = f"folder to write to [{Config.PREPROCESSED_DIR}]"
    add("--out", dest="PREPROCESSED_DIR", type=Path, metavar="DIR", default=argparse.SUPPRESS, help=out)
    add("--skip-unreadable", action="store_true", help="leave out images that cannot be read, and list them")
    allow: dict[str, Any] = {"dest": "allow", "action": "append_const", "default": []}
    leaks = "keep a given split although it parts a patient or copies"
    add("--allow-leaks", const="leaks", help=leaks, **allow)
    add("--allow-label-conflicts", const="label_conflicts", help="keep one image in two classes", **allow)
    positive = "with folder and dicom, which of two folders or labels is cancerous (1)"
    add("--positive-class", metavar="NAME", default="", help=positive)
    crop = "with dicom, cut mammograms down to the breast: no black border, no letters; audit.csv lists it"
    add("--crop-breast", action="store_true", help=crop)
    add("--dataset", metavar="NAME", default="", help=f"with medmnist, one of {', '.join(SETS)}")
    size = f"with medmnist, pixels of a side: 28, 64, 128 or 224 [{SourceOptions.size}]"
    add("--size", type=int, metavar="PIXELS", default=SourceOptions.size, help=size)
    npz = "with medmnist, the set's file if it is here already; else it is downloaded"
    add("--npz", type=Path, metavar="FILE", help=npz)
    add_settings(parser, Config, only=(*SETTINGS, "CLASS_NAMES"))
    options = parser.parse_args(arguments)
    if "DATA_DIR" not in options:  # never among the user's own images, which the settings may name
        if options.source == "demo":
            options.DATA_DIR = DEMO_DIR
        elif options.source == "medmnist":
            options.DATA_DIR = MEDMNIST_DIR / f"{options.dataset}_{options.size}"
    return options


def source_options(options: argparse.Namespace) -> SourceOptions:
    """What the source is told."""
    return SourceOptions(**{name: getattr(options, name) for name in vars(SourceOptions())})

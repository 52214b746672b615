"""Command-line options of the preparation of images, and its --help."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from helpers.global_config import Config
from helpers.settings.command_line import ArgumentParser, add_settings
from preprocessing.errors import COMMAND
from preprocessing.prepare.sources import DEFAULT_SOURCE, SOURCES, get_source
from preprocessing.prepare.sources.source import Source

Parser = argparse.ArgumentParser | argparse._ArgumentGroup
SETTINGS = ("INPUT_SHAPE", "INPUT_DIM", "SEED", "TEST_FRACTION", "VALIDATION_FRACTION")
"""The settings recorded in manifest.json, where CLASS_NAMES has a separate entry."""
HELP = """\
Reads the images under --data-dir, resizes them to INPUT_SHAPE, splits them into training, validation and
test, and writes x_train.npy, y_train.npy, x_val.npy, …, audit.csv and manifest.json to --out. Copies of an
image, exact or near, stay in one split.
"""
OWN_IMAGES = """\
your own images (more in docs/data.md):
  Put them in two folders. PNG, JPEG, BMP, TIFF and PGM are read, gray or color, 8 or 16 bit:
      vanitha_mam_breast_cancer_dataset/0/…   non-cancerous
      vanitha_mam_breast_cancer_dataset/1/…   cancerous
  Or name the folders by class, such as benign/ and malignant/. If the names leave open which is cancerous,
  --positive-class NAME decides. More classes need more folders: 0/, 1/, 2/, … or one per name, whose order
  is alphabetical unless --class-names gives another.
  If a patient has several images, add manifest.csv with the columns file (0/image.png) and patient: then no
  patient is in two splits. A column split (train, val, test) sets the splits. With a column label, the images
  may be anywhere below --data-dir.
"""
EXIT_STATUS = "exit status: 0 done; 2 bad input or setting, earlier output untouched; 130 interrupted"


def parse(arguments: Sequence[str] | None, command: str = COMMAND) -> argparse.Namespace:
    """Parse the command line, of which `command` is the beginning.

    Returns:
        The options. `DATA_DIR` is set if it was given or the source has a default folder; `source_options`
        has the options of the source that were given.

    Raises:
        PreprocessingError: as `get_source`.
    """
    parser = ArgumentParser(
        prog=command,
        description=HELP,
        epilog=_epilog(command),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    places = ", ".join(f"{each.data_dir} for {name}" for name, each in SOURCES.items() if each.data_dir)
    data_dir = f"folder of the images [{Config.DATA_DIR}; {places}]"
    add("--data-dir", dest="DATA_DIR", type=Path, metavar="DIR", default=argparse.SUPPRESS, help=data_dir)
    out = f"folder to write to [{Config.PREPROCESSED_DIR}]"
    add("--out", dest="PREPROCESSED_DIR", type=Path, metavar="DIR", default=argparse.SUPPRESS, help=out)
    add_image_options(parser, arguments)
    add_settings(parser, Config, only=(*SETTINGS, "CLASS_NAMES", "NEAR_COPIES", "RECIPE"))
    options = parser.parse_args(arguments)
    options.source_options = source_options(options)
    # A source that writes images never uses DATA_DIR of the settings, the user's own images.
    if "DATA_DIR" not in options and (
        folder := get_source(options.source).default_dir(options.source_options)
    ):
        options.DATA_DIR = folder
    return options


def add_image_options(parser: Parser, arguments: Sequence[str] | None) -> None:
    """Add the options that name the source, choose what it reads and what is kept of it.

    Args:
        parser: receives the options.
        arguments: the command line; a user's own source that it names may have options, too.

    Raises:
        PreprocessingError: as `get_source`.
    """
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--source", default=DEFAULT_SOURCE)
    name = first.parse_known_args(arguments)[0].source
    sources = {**SOURCES, name: get_source(name)}
    add = parser.add_argument
    summaries = "; ".join(f"{name}: {each.summary}" for name, each in sources.items())
    add("--source", default=DEFAULT_SOURCE, metavar="NAME", help=f"{summaries} [{DEFAULT_SOURCE}]")
    add("--skip-unreadable", action="store_true", help="leave out unreadable images, and list them")
    allow: dict[str, Any] = {"dest": "allow", "action": "append_const", "default": []}
    leaks = "keep splits of manifest.csv that separate a patient's images or copies"
    add("--allow-leaks", const="leaks", help=leaks, **allow)
    add("--allow-label-conflicts", const="label_conflicts", help="keep an image in two classes", **allow)
    _add_source_options(parser, sources)


def source_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options of the source that were given."""
    sources = [*SOURCES.values(), get_source(options.source)]
    names = {option.name for each in sources for option in each.options}
    return {key: value for key, value in vars(options).items() if key in names}


def _add_source_options(parser: Parser, sources: dict[str, Source]) -> None:
    for option in {option.name: option for each in sources.values() for option in each.options}.values():
        owners = ", ".join(name for name, each in sources.items() if option in each.options)
        default = f" [{option.default}]" if option.default else ""
        text = f"for {owners}: {option.help}{default}"
        value = {"type": option.type, "metavar": option.metavar}
        how: dict[str, Any] = {"action": "store_true"} if option.default is False else value
        parser.add_argument(option.flag, dest=option.name, default=argparse.SUPPRESS, help=text, **how)


def _epilog(command: str) -> str:
    examples = ["", *(f" --source {name} {text}" for name, each in SOURCES.items() for text in each.examples)]
    lines = [f"  {command}{example}" for example in examples]
    return "\n".join([OWN_IMAGES, "examples:", *lines, "", EXIT_STATUS])

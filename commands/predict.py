"""`run.py predict`: probabilities, decisions and Grad-CAM pictures of images."""

from collections.abc import Sequence
from pathlib import Path

from helpers.settings.command_line import ArgumentParser


def main(arguments: Sequence[str]) -> int:
    """Run the command; return the exit status."""
    parser = ArgumentParser(
        prog="run.py predict",
        description="Predicts images with a trained model. For research only, no diagnosis.",
    )
    parser.add_argument("model", metavar="MODEL", help="name of a run, or such as models/first/best.keras")
    parser.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help="image files or folders")
    parser.add_argument(
        "--out", type=Path, default=Path("predictions"), metavar="DIR",
        help="folder for predictions.csv and the pictures [predictions/]",
    )  # fmt: skip
    parser.add_argument(
        "--crop-breast", action="store_true",
        help="cut DICOM mammograms down to the breast, as the training images were with this option",
    )  # fmt: skip
    parser.add_argument("--no-pictures", action="store_true", help="write predictions.csv only")
    parser.add_argument(
        "--skip-unreadable", action="store_true",
        help="leave out and list files that are no usable images, such as reports in a DICOM folder",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    from commands.predictions import predict  # after parsing, so that --help answers at once
    from commands.trained_model import model_path
    from helpers.global_config import Config

    predict(
        model_path(options.model, Config.load().MODELS_DIR),
        options.images,
        options.out,
        crop=options.crop_breast,
        with_pictures=not options.no_pictures,
        skip_unreadable=options.skip_unreadable,
    )
    return 0

"""The sources by name, and what can be said to them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from helpers.global_config import Config
from preprocessing.errors import PreprocessingError
from preprocessing.prepare.sources.demo_mammograms import LICENSE, write_demo_images
from preprocessing.prepare.sources.dicom import find_dicoms
from preprocessing.prepare.sources.image_folder import find_images
from preprocessing.prepare.sources.medmnist import find_medmnist
from preprocessing.prepare.sources.records import ImageSet

SOURCES = ("folder", "dicom", "medmnist", "demo")
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class SourceOptions:
    """What some sources want to know; the defaults suit all others.

    Attributes:
        positive_class: of two, the folder or label that is 1 (folder, dicom).
        crop_breast: cut images down to the breast (dicom).
        dataset, size, npz: which set, pixels of a side, a local file of it (medmnist).
    """

    positive_class: str = ""
    crop_breast: bool = False
    dataset: str = ""
    size: int = 128
    npz: Path | None = None


OPTIONS_OF = {
    "folder": {"positive_class"},
    "dicom": {"positive_class", "crop_breast"},
    "medmnist": {"dataset", "size", "npz"},
    "demo": set[str](),
}


def find_source(source: str, options: SourceOptions, config: Config, progress: Progress) -> ImageSet:
    """Find the images of a source under `config.DATA_DIR`, which some write there first.

    Args:
        source: one of SOURCES.
        options: for it.
        config: uses DATA_DIR, CLASS_NAMES, SEED.
        progress: called with the step, how much is done and of how much.

    Raises:
        PreprocessingError: no such source, an option of another, or the images do not fit.
    """
    if source not in SOURCES:
        raise PreprocessingError(f"--source: received {source!r}, expected one of {', '.join(SOURCES)}")
    given = {name: value for name, value in vars(options).items() if value != getattr(SourceOptions, name)}
    for name in given.keys() - OPTIONS_OF[source]:
        sources = " or ".join(other for other in SOURCES if name in OPTIONS_OF[other])
        raise PreprocessingError(
            f"--{name.replace('_', '-')}: is for --source {sources}, received --source {source}"
        )
    folder, names = config.DATA_DIR, config.CLASS_NAMES
    if source == "medmnist":
        return find_medmnist(folder, options.dataset, options.size, options.npz, names, progress)
    if source == "dicom":
        return find_dicoms(folder, options.positive_class, names, options.crop_breast)
    if source == "folder":
        return find_images(folder, options.positive_class, names)
    write_demo_images(folder, config.SEED)
    return replace(find_images(folder, class_names=names), about={"license": LICENSE})

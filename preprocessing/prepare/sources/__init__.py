"""The sources of images by name. A new source is one file here, with a `SOURCE`, and one line in SOURCES."""

import importlib
from collections.abc import Mapping
from typing import Any

from helpers.global_config import Config
from preprocessing.errors import PreprocessingError
from preprocessing.prepare.sources import demo_mammograms, dicom, image_folder, medmnist
from preprocessing.prepare.sources.records import ImageSet
from preprocessing.prepare.sources.source import Progress, Source

SOURCES: dict[str, Source] = {
    "folder": image_folder.SOURCE,
    "dicom": dicom.SOURCE,
    "medmnist": medmnist.SOURCE,
    "demo": demo_mammograms.SOURCE,
}
DEFAULT_SOURCE = "folder"


def get_source(name: str) -> Source:
    """Return the source of a name: a key of SOURCES, or a user's own as `package.module:name`.

    Raises:
        PreprocessingError: unknown name; the module cannot be imported or has no such source.
    """
    if name in SOURCES:
        return SOURCES[name]
    # No allow list, as networks have: a name comes from this machine's command line, never in a message.
    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute):
        raise PreprocessingError(
            f"--source: received {name!r}, expected one of {', '.join(SOURCES)}, or your own as "
            "package.module:name"
        )
    try:
        source = getattr(importlib.import_module(module), attribute, None)
    except Exception as error:  # the code of a module may raise anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise PreprocessingError(
            f"--source: received {name!r}: importing {module} failed: {reason}; put it in the project's "
            "folder, or install it"
        ) from error
    if not isinstance(source, Source):
        raise PreprocessingError(
            f"--source: received {name!r}: {module} has no Source of the name {attribute}; see docs/data.md"
        )
    return source


def list_images(name: str, options: Mapping[str, Any], config: Config, progress: Progress) -> ImageSet:
    """List the images of a source under `config.DATA_DIR`, which some sources write first.

    Args:
        name: as in `get_source`.
        options: options of the source; those left out have their defaults.
        config: uses DATA_DIR, CLASS_NAMES, SEED.
        progress: called with the step, the amount done and the total.

    Raises:
        PreprocessingError: unknown source, an option of another source, or unsuitable images.
    """
    source = get_source(name)
    values = {option.name: option.default for option in source.options}
    for option in options.keys() - values.keys():
        owners = [other for other, about in SOURCES.items() if option in {one.name for one in about.options}]
        raise PreprocessingError(
            f"--{option.replace('_', '-')}: is for --source {' or '.join(owners) or 'of another kind'}, "
            f"received --source {name}"
        )
    return source.find(config, progress, **{**values, **options})

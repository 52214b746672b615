"""The images of the study, split again for every seed. No patient is in two splits."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from helpers.global_config import Config
from helpers.settings.errors import UserError
from preprocessing.feed.prepared_data import MANIFEST, PreparedData
from preprocessing.load_and_create_dataset import prepare
from studies.cases import SITE_COLUMN


class Images:
    """A folder of images and the prepared data of each seed.

    Args:
        data_dir: folder of the images.
        folder: receives one folder of prepared data for each seed.
        input_shape: height and width.
        on_progress: receives one line.

    Attributes:
        input_shape: as given.
        name: of `data_dir`, without its path.
    """

    def __init__(
        self, data_dir: Path, folder: Path, input_shape: tuple[int, int], on_progress: Callable[[str], None]
    ) -> None:
        self.input_shape = input_shape
        self.name = data_dir.resolve().name
        self._data_dir = data_dir.resolve()
        self._folder = folder.resolve()
        self._on_progress = on_progress

    def prepared(self, seed: int) -> PreparedData:
        """Return the splits of a seed; prepare them on first use.

        Raises:
            UserError: they cannot be prepared, or the folder holds those of other images.
        """
        place = self._folder / f"seed-{seed}"
        if not (place / MANIFEST).exists():
            self._on_progress(f"seed {seed}: preparing images")
            self._prepare(seed, place)
        data = PreparedData.open(place)
        if (name := data.manifest["data_dir"]) != self.name:
            raise UserError(f"--data-dir: received {self.name}, but {place} has {name}; name another --out")
        return data

    def _prepare(self, seed: int, place: Path) -> None:
        """Prepare the splits of a seed in a folder."""
        settings: dict[str, Any] = {"DATA_DIR": self._data_dir, "INPUT_SHAPE": self.input_shape}
        prepare(Config.load(PREPROCESSED_DIR=place, SEED=seed, **settings))

    def sites(self, seed: int) -> list[str]:
        """Return the sites of the training images, in the order of the clients of PARTITION=site."""
        return sorted(set(self.prepared(seed).column("train", SITE_COLUMN)))

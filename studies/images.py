"""The images of the study, divided anew for every seed; no patient is in two splits."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from helpers.global_config import Config
from helpers.settings.errors import UserError
from preprocessing.feed.prepared_data import MANIFEST, PreparedData
from preprocessing.load_and_create_dataset import prepare
from studies.cases import SITE_COLUMN


class Images:
    """A folder of images, and where they lie when they are prepared.

    Args:
        data_dir: of the images.
        folder: gets a folder a seed.
        input_shape: height and width.
        tell: receives one line.

    Attributes:
        input_shape: as given.
        name: that of `data_dir`, without where it lies.
    """

    def __init__(
        self, data_dir: Path, folder: Path, input_shape: tuple[int, int], tell: Callable[[str], None]
    ) -> None:
        self.input_shape = input_shape
        self.name = data_dir.resolve().name
        self._data_dir = data_dir.resolve()
        self._folder = folder.resolve()
        self._tell = tell

    def prepared(self, seed: int) -> PreparedData:
        """The splits by a seed, prepared if they are not.

        Raises:
            UserError: they cannot be prepared, or others were.
        """
        place = self._folder / f"seed-{seed}"
        if not (place / MANIFEST).exists():
            self._tell(f"seed {seed}: preparing images")
            asked: dict[str, Any] = {"DATA_DIR": self._data_dir, "INPUT_SHAPE": self.input_shape}
            prepare(Config.load(PREPROCESSED_DIR=place, SEED=seed, **asked))
        data = PreparedData.open(place)
        if (name := data.manifest["data_dir"]) != self.name:
            raise UserError(f"--data-dir: received {self.name}, but {place} has {name}; name another --out")
        return data

    def sites(self, seed: int) -> list[str]:
        """Where training images come from, in the order of the clients of PARTITION=site."""
        return sorted(set(self.prepared(seed).column("train", SITE_COLUMN)))

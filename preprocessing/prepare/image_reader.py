"""Image files → rows of one array on disk, by several processes.

The array is filled in chunks, each through a memory map of its own, so memory does not grow with the
number of images. An unreadable file is an answer, not an exception: all of them are found in one go.
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

PATIENCE_S = 1.0  # starting processes takes about as long: what is read sooner needs none
SILENT = 0  # log level of OpenCV: an unreadable file is reported once, by us

Progress = Callable[[int, int], None]  # called with the number of images done and of all


@dataclass(frozen=True)
class Reading:
    """What became of one image file: its sha256 and what was cut off, or else why it is unreadable."""

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
        folder: what `files` are relative to.
        read: reads one of them.
        shape: of a row.
        target: .npy file to make: uint8 (N, *shape); rows of unreadable files stay undefined.
        progress: told how many images are done.

    Returns:
        one Reading per file, in order.

    Raises:
        OSError: the disk is full or cannot be written.
        PreprocessingError: a reading process was ended from outside.
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
    """Read `files` into the rows of `target` from `start` on."""
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
    """Read here at first, and what is left then by several processes; yield results as they come."""
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
            "a process that reads images was ended from outside; is the memory full? Free some and try again"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _start_reading_process() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent stops the others
    threading.Thread(target=_end_with_parent, daemon=True).start()
    cv2.setNumThreads(1)  # the processes already fill the processors
    cv2.utils.logging.setLogLevel(SILENT)


def _end_with_parent() -> None:
    """End this process when its parent was killed and can no longer stop it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Let Ctrl-C wait while processes start: they inherit this and die silently with their parent."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

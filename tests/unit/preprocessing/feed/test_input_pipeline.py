"""Batches: the right images with the right labels, the same ones for the same seed."""

import ctypes
import threading
from collections import Counter
from pathlib import Path

import albumentations
import numpy as np
import pytest

from helpers.cluster.process_tuning import keep_freed_memory
from preprocessing.feed.augment_images import AUGMENTATIONS, augmentation, augmented_examples
from preprocessing.feed.input_pipeline import (
    PREFETCHED_BATCHES,
    PREFETCHED_BYTES,
    _ahead,
    _in_thread,
    _prefetched,
    evaluation_batches,
    training_batches,
)

IMAGES = np.random.default_rng(0).integers(0, 256, (10, 16, 16, 3), dtype=np.uint8)
IMAGES[:, 0, 0, 0] = np.arange(10)  # every image encodes its row
LABELS = np.arange(10, dtype=np.int32) % 2
ROWS = np.array([1, 3, 4, 6, 9])


def collect(name: str = "none", seed: list[int] | None = None, rows: np.ndarray = ROWS, epochs: int = 1):
    dataset = training_batches(
        IMAGES, LABELS, rows, batch_size=2, epochs=epochs, augmentation_name=name, seed=seed or [1, 2, 3]
    )
    batches = list(dataset)
    return np.concatenate([x for x, _ in batches]), np.concatenate([y for _, y in batches]), batches


def test_every_row_once_with_its_own_label() -> None:
    images, labels, batches = collect()
    rows = (images[:, 0, 0, 0] * 255).round().astype(int)
    assert sorted(rows) == ROWS.tolist()
    np.testing.assert_array_equal(labels.reshape(-1), LABELS[rows])
    assert [len(x) for x, _ in batches] == [2, 2, 1]
    assert images.dtype == labels.dtype == np.float32
    np.testing.assert_allclose(images, IMAGES[rows] / 255, rtol=1e-6)


@pytest.mark.parametrize("name", [*AUGMENTATIONS, "none"])
def test_batches_made_ahead_in_a_thread_are_those_of_a_plain_loop(name: str) -> None:
    generator = np.random.default_rng([1, 2, 3])
    orders = [generator.permutation(ROWS)]
    augment = augmentation(name, (16, 16), seed=int(generator.integers(2**32)))
    orders += [generator.permutation(ROWS) for _ in range(2)]
    images, labels, _ = collect(name, epochs=3)
    np.testing.assert_array_equal(images, [augment(IMAGES[row]) for order in orders for row in order])
    np.testing.assert_array_equal(labels.reshape(-1), LABELS[np.concatenate(orders)])


def test_a_user_who_stops_early_ends_the_thread() -> None:
    made: list[int] = []
    batches = _in_thread((made.append(number) or number for number in range(1000)), 4)
    assert [next(batches), next(batches)] == [0, 1]
    batches.close()
    assert len(made) <= 7  # four ahead, and the one in the making
    assert not [thread for thread in threading.enumerate() if "ThreadPoolExecutor" in thread.name]


def test_images_without_augmentation_are_what_albumentations_makes_of_them() -> None:
    every_value = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    expected = albumentations.ToFloat(max_value=255)(image=every_value)["image"]
    np.testing.assert_array_equal(augmentation("none", (16, 16), seed=0)(every_value), expected)


def test_a_single_batch_is_made_without_a_thread() -> None:
    makers: list[str] = []
    assert list(_ahead((makers.append(threading.current_thread().name) or 7 for _ in range(1)), 1, 4)) == [7]
    assert makers == [threading.current_thread().name]


def test_what_fails_in_the_thread_fails_its_user() -> None:
    batches = _in_thread((1 // (2 - number) for number in range(5)), 4)
    assert [next(batches), next(batches)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(batches)


def test_batches_do_not_change_the_allocator_settings() -> None:
    if not keep_freed_memory():
        pytest.skip("not glibc")
    collect()
    for _ in evaluation_batches(IMAGES, batch_size=4):
        pass
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes = [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    address = libc.malloc(900 << 20)  # more than any heap has at hand, less than what is mapped by itself
    size_and_flags = ctypes.c_size_t.from_address(address - ctypes.sizeof(ctypes.c_size_t)).value
    libc.free(address)
    assert not size_and_flags & 2  # glibc's IS_MMAPPED


def test_more_epochs_go_on_after_the_first_in_new_orders() -> None:
    images, _, batches = collect(epochs=3)
    assert [len(x) for x, _ in batches] == [2, 2, 1] * 3
    rows = (images[:, 0, 0, 0] * 255).round().astype(int).reshape(3, 5)
    assert (np.sort(rows) == ROWS).all()
    assert len({tuple(order) for order in rows}) == 3
    np.testing.assert_array_equal(images[:5], collect()[0])


@pytest.mark.parametrize("name", [*AUGMENTATIONS, "none"])
def test_the_seed_determines_everything(name: str) -> None:
    first, again, other = collect(name), collect(name), collect(name, [1, 2, 4])
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert (first[0] != other[0]).any()


def test_the_readmes_pipeline_changes_images_but_not_their_range() -> None:
    plain, augmented = collect("none"), collect("readme")
    np.testing.assert_array_equal(plain[1], augmented[1])  # same shuffling
    assert (plain[0] != augmented[0]).any()
    assert augmented[0].min() >= 0
    assert augmented[0].max() <= 1


@pytest.mark.parametrize("name", [*AUGMENTATIONS, "none"])
def test_gray_images_keep_their_axis_through_every_transform(name: str) -> None:
    gray = np.random.default_rng(0).integers(0, 256, (200, 16, 16, 1), dtype=np.uint8)
    dataset = training_batches(
        gray,
        np.zeros(200, np.int32),
        np.arange(200),
        batch_size=8,
        epochs=1,
        augmentation_name=name,
        seed=[1],
    )
    images = np.concatenate([x for x, _ in dataset])
    assert images.shape == (200, 16, 16, 1)
    assert images.min() >= 0
    assert images.max() <= 1
    if name == "readme":  # its CLAHE works on lightness, which is not the gray of RGB
        return
    in_gray, in_color = augmentation(name, (16, 16), seed=3), augmentation(name, (16, 16), seed=3)
    for image in gray:
        expected = in_color(np.repeat(image, 3, axis=-1))
        np.testing.assert_allclose(np.repeat(in_gray(image), 3, axis=-1), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", [*AUGMENTATIONS, "none"])
def test_images_that_are_not_square_keep_their_shape(name: str) -> None:
    augment = augmentation(name, (12, 20), seed=0)
    assert {augment(np.zeros((12, 20, 3), np.uint8)).shape for _ in range(20)} == {(12, 20, 3)}


def test_examples_of_gray_images_are_gray() -> None:
    gray = IMAGES[..., :1]
    assert augmented_examples(gray, "readme", seed=1, count=4).shape == (4, 16, 16, 1)


def test_large_images_are_made_ahead_in_few_batches() -> None:
    small = np.zeros((1, 128, 128, 3), np.uint8)
    assert _prefetched(2, small) == PREFETCHED_BATCHES
    large = np.broadcast_to(np.uint8(0), (1, 1024, 1024, 3))
    bytes_of_a_batch = 8 * 1024 * 1024 * 3 * 4
    assert _prefetched(8, large) * bytes_of_a_batch <= PREFETCHED_BYTES
    assert _prefetched(64, large) == 1


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's account of memory")
def test_large_images_are_not_held_in_memory(tmp_path) -> None:
    count, side = 150, 1024
    np.lib.format.open_memmap(
        tmp_path / "x.npy", "w+", np.uint8, (count, side, side, 3)
    )  # takes no room: all 0
    images = np.load(tmp_path / "x.npy", mmap_mode="r")
    rows, labels = np.arange(count), np.zeros(count, np.int32)
    training = training_batches(
        images, labels, rows, batch_size=1, epochs=1, augmentation_name="light", seed=[1, 2, 3]
    )
    for dataset in (training, evaluation_batches(images, 1)):
        before, most = own_memory(), 0
        for _ in dataset:
            most = max(most, own_memory())
        assert most - before < images.nbytes / 2  # as float32 the set has four times that many bytes


def own_memory() -> int:
    """Bytes of this process without mapped files, whose pages the system can reclaim."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if "RssAnon" in line)
    return int(line.split()[1]) * 1024


def test_the_readmes_flips_and_turns_are_independent() -> None:
    image = np.zeros((16, 16, 3), np.uint8)
    image[2, 5] = 255
    augment = augmentation("readme", (16, 16), seed=0)
    places: Counter[tuple[int, ...]] = Counter()
    for _ in range(3000):
        changed = augment(image)[..., 0]
        places[tuple(int(axis) for axis in np.unravel_index(changed.argmax(), changed.shape))] += 1
    # A flip each way with p .5, after a turn with p .5 by 0, 90, 180 or 270 degrees.
    straight = [(2, 5), (2, 10), (13, 5), (13, 10)]
    turned = [(5, 2), (5, 13), (10, 2), (10, 13)]
    seen = sum(places[place] for place in straight + turned)  # the rest was moved by motion blur
    assert seen > 2000
    for chance, group in ((3 / 16, straight), (1 / 16, turned)):
        for place in group:
            assert places[place] / seen == pytest.approx(chance, abs=0.03), place


def test_evaluation_is_every_image_in_order_and_only_scaled() -> None:
    images = np.concatenate(list(evaluation_batches(IMAGES, 4)))
    np.testing.assert_array_equal(images, np.divide(IMAGES, 255, dtype=np.float32))

"""Weights there and back for three clients through each store, against bare SETs and GETs.

A round puts the weights once, gets them for each client, puts and gets each update, and puts the mean.
"""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import redis

from benchmarks.pipeline import CLIENTS
from benchmarks.records import Measurement, Record
from benchmarks.turns import in_turn
from helpers.cluster.connection import connect
from helpers.federated.weights import Weights
from helpers.launcher.embedded_redis import find_binary, start_server
from helpers.weight_store.file_store import FileStore
from helpers.weight_store.redis_store import RedisStore
from helpers.weight_store.store import WeightStore, get_arrays, put_arrays

SHARED_MEMORY = Path("/dev/shm")
README_NUMBERS = 1_809_985  # in all arrays of the README's CNN at 128×128, float32: 7.24 MB
LARGE_NUMBERS = 25_000_000
LIMITS = {"README's CNN, 7.24 MB": {"redis": 0.20, "file": 0.10}, "100 MB": {"file": 0.6}}
REDIS_LIMIT_LARGE = 1.3  # × bare SETs and GETs
REDIS, FILE, BARE = "ours, redis://", "ours, file://", "bare SET and GET"


def measure(record: Record, folder: Path, quick: bool) -> None:
    """Measure both sizes of weights."""
    sizes = {"README's CNN, 7.24 MB": README_NUMBERS, "100 MB": LARGE_NUMBERS}
    if quick:
        sizes = {name: numbers // 20 for name, numbers in sizes.items()}
    place = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
    with (
        start_server(find_binary(), folder / "redis") as server,
        TemporaryDirectory(prefix="measured-", dir=place) as files,
    ):
        client = connect(server.url)
        for name, numbers in sizes.items():
            arrays = model_like(numbers)
            contenders: dict[str, Callable[[], float]] = {
                BARE: partial(bare_round, client, b"".join(array.tobytes() for array in arrays)),
                REDIS: partial(store_round, RedisStore(client), arrays),
                FILE: partial(store_round, FileStore(Path(files)), arrays),
            }
            for run in contenders.values():
                run()  # a first run opens connections and allocates memory
            seconds_of = in_turn(contenders, 2 if quick else 7)
            what = f"weights there and back, {name}"
            bare = record.add(what, BARE, "s", seconds_of[BARE])
            rows = {kind: record.add(what, kind, "s", seconds_of[kind], bare) for kind in (REDIS, FILE)}
            _write_targets(record, name, rows)


def _write_targets(record: Record, name: str, rows: dict[str, Measurement]) -> None:
    if "redis" in LIMITS[name]:
        record.target(f"there and back, {name}, redis://", LIMITS[name]["redis"], rows[REDIS].median, "s")
    else:
        record.target(f"there and back / bare, {name}, redis://", REDIS_LIMIT_LARGE, rows[REDIS].ratio, "×")
    record.target(f"there and back, {name}, file://", LIMITS[name]["file"], rows[FILE].median, "s")


def model_like(numbers: int) -> Weights:
    """Return arrays like those of a model: one holds nine tenths of the float32 numbers, twenty the rest."""
    generator = np.random.default_rng(0)
    small = numbers // 200
    return [generator.random(size, np.float32) for size in [numbers - 20 * small] + [small] * 20]


def store_round(store: WeightStore, arrays: Weights) -> float:
    """Return the seconds of one round through a store."""
    names = [f"layer-{number}" for number in range(len(arrays))]
    began = time.perf_counter()
    reference = put_arrays(store, "weights", names, arrays)
    fetched = [get_arrays(store, reference, reference.schema) for _ in range(CLIENTS)]
    updates = [put_arrays(store, f"update-{client}", names, own) for client, own in enumerate(fetched)]
    del fetched
    for update in updates:
        get_arrays(store, update, update.schema)
    mean = put_arrays(store, "mean", names, arrays)
    seconds = time.perf_counter() - began
    store.delete([reference.key, mean.key, *(update.key for update in updates)])
    return seconds


def bare_round(client: redis.Redis, data: bytes) -> float:
    """Return the seconds of the same number of SETs and GETs of the same size."""
    keys = [f"bare-{client_id}" for client_id in range(CLIENTS)]
    began = time.perf_counter()
    client.set("bare", data)
    for _ in keys:
        client.get("bare")
    for key in keys:
        client.set(key, data)
    for key in keys:
        client.get(key)
    client.set("bare-mean", data)
    seconds = time.perf_counter() - began
    client.unlink("bare", "bare-mean", *keys)
    return seconds

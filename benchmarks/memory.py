"""Memory of a worker against plain Keras; memory and time of an aggregation of many clients."""

from functools import partial
from pathlib import Path

import numpy as np
import redis

from benchmarks.aggregating import bare_key
from benchmarks.floor import Floor
from benchmarks.pipeline import CLIENTS, Pipeline, threads_of_each
from benchmarks.processes import peak_bytes
from benchmarks.records import Curve, Record
from benchmarks.remote_object import RemoteObject
from benchmarks.synthetic_data import write_prepared
from benchmarks.transfer import README_NUMBERS, model_like
from benchmarks.turns import in_turn
from helpers.cluster.connection import connect
from helpers.federated.messages import Reference
from helpers.federated.weights import Weights
from helpers.launcher.embedded_redis import find_binary, start_server
from helpers.weight_store.redis_store import RedisStore
from helpers.weight_store.store import put_arrays

WORKER_LIMIT = 1.1
MODELS_LIMIT = 3.0
TIME_LIMIT = 2.0
TURNS = {10: 5, 100: 3, 1000: 1}
"""Number of clients, and number of measurements of their aggregation."""
DIFFERENT_UPDATES = 10
OURS, BARE = "ours, Redis", "bytes read from Redis and added in NumPy"


def measure(record: Record, folder: Path, quick: bool) -> None:
    """Measure workers, then aggregations."""
    _measure_workers(record, folder, quick)
    _measure_aggregation(record, folder, {5: 1, 10: 1} if quick else TURNS)


def _measure_workers(record: Record, folder: Path, quick: bool) -> None:
    num_train, num_val, side = (24, 12, 32) if quick else (189, 63, 128)
    prepared = folder / "prepared"
    write_prepared(prepared, num_train, num_val, (side, side))
    record.progress("three rounds of the floor")
    with Floor(prepared, CLIENTS, 2, threads_of_each(CLIENTS)) as floor:
        for _ in range(3):
            floor.round()
        plain = [peak_bytes(pid) / 1e6 for pid in floor.pids]
    record.progress("three rounds of the workers")
    with Pipeline(folder / "pipeline", prepared, CLIENTS) as pipeline:
        pipeline.train("--epochs", "3", "--augmentation", "none", "--input-shape", f"{side},{side}")
        workers = [peak_bytes(pid) / 1e6 for pid in pipeline.worker_pids]
    what = "peak memory of each process, three rounds"
    reference = record.add(what, "plain Keras", "MB", plain)
    record.add(what, "ours, worker", "MB", workers, reference)
    record.target(
        "the largest worker / the largest plain Keras", WORKER_LIMIT, max(workers) / max(plain), "×"
    )


def _measure_aggregation(record: Record, folder: Path, turns: dict[int, int]) -> None:
    arrays = model_like(README_NUMBERS)
    points: dict[str, dict[str, list[tuple[float, float]]]] = {"seconds": {}, "peak": {}}
    with start_server(find_binary(), folder / "redis") as server:
        client = connect(server.url)
        references = [
            _put(client, f"update-{number}", [np.add(array, number, dtype=np.float32) for array in arrays])
            for number in range(DIFFERENT_UPDATES)
        ]
        tiny = _put(client, "tiny", [np.zeros(10, np.float32)])

        def once(method: str, count: int) -> dict[str, float]:
            with RemoteObject("benchmarks.aggregating.Aggregating", server.url, references, tiny) as process:
                answer: dict[str, float] = process.ask(method, count)
                return answer

        for count, times in turns.items():
            readings = in_turn(
                {BARE: partial(once, "bare", count), OURS: partial(once, "ours", count)}, times
            )
            medians = {}
            for reading, unit, what in (
                ("seconds", "s", f"aggregation of {count} clients of 7.24 MB"),
                ("peak", "models", f"peak memory of an aggregation of {count} clients"),
            ):
                values = {name: [one[reading] for one in readings[name]] for name in (BARE, OURS)}
                bare = record.add(what, BARE, unit, values[BARE])
                medians[reading] = record.add(what, OURS, unit, values[OURS], bare)
                for row in (bare, medians[reading]):
                    points[reading].setdefault(row.contender, []).append((count, row.median))
            asked = f"aggregation of {count} clients / reading and adding"
            record.target(asked, TIME_LIMIT, medians["seconds"].ratio, "×")
            record.target(f"peak of {count} clients", MODELS_LIMIT, medians["peak"].median, "models")
    record.curves.append(Curve("Aggregation of updates of 7.24 MB", "clients", "seconds", points["seconds"]))
    record.curves.append(Curve("Memory of an aggregation", "clients", "models of 7.24 MB", points["peak"]))


def _put(client: redis.Redis, key: str, arrays: Weights) -> Reference:
    """Store an update as a client does, and its bytes as a plain value."""
    names = [f"layer-{number}" for number in range(len(arrays))]
    reference = put_arrays(RedisStore(client), key, names, arrays)
    client.set(bare_key(reference), b"".join(array.tobytes() for array in arrays))
    return reference

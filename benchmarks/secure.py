"""Rounds of sites whose updates are summed under masks against plain ones; and the protocol by itself."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.pipeline import Pipeline
from benchmarks.records import Record
from benchmarks.synthetic_data import write_prepared
from benchmarks.turns import in_turn
from benchmarks.watching import Readings
from helpers.federated.aggregation import weighted_mean
from helpers.federated.weights import Schema, Weights, num_bytes
from helpers.global_config import Config
from helpers.launcher.worker_processes import WorkerProcesses
from helpers.secure_aggregation.fixed_point import Residues, add_residues, decode_mean, encode_change
from helpers.secure_aggregation.member import Member
from helpers.secure_aggregation.unmasking import remove_masks

SITES = ("north", "south", "west")
NUM_SITES = (3, 10, 30)
TIME_LIMIT, TRAFFIC_LIMIT = 1.5, 1.1
PLAIN, SECURE = "plain", "SECURE_AGGREGATION=true"


def measure(record: Record, folder: Path, quick: bool) -> None:
    """Measure whole rounds of three sites with 300 images each, and the protocol without messages."""
    side, num_train, num_val, turns = (32, 20, 8, 1) if quick else (128, 216, 76, 2)
    write_prepared(folder / "prepared", num_train, num_val, (side, side))
    options = ["--data-at", "sites", "--min-clients", "3", "--epochs", "3"]
    options += ["--input-shape", f"{side},{side}"]
    record.progress("starting workers")
    with contextlib.ExitStack() as stack:
        own = {"DT_THREADS": "1", "DT_SITE_DIR": str(folder / "sites")}
        pipeline = stack.enter_context(
            Pipeline(folder / "pipeline", folder / "prepared", 1, all_in_redis=True, more=own)
        )
        for site in SITES:
            environment = pipeline.environment | {"DT_SITE": site}
            workers = WorkerProcesses([site], environment, lambda name, line: None)
            stack.enter_context(workers)
            workers.wait_until_ready(pipeline.client)
        contenders = {
            PLAIN: lambda: pipeline.train(*options)[1:],
            SECURE: lambda: pipeline.train(*options, "--secure-aggregation", "true")[1:],
        }
        turned = in_turn(contenders, turns)
    rounds = {name: [reading for turn in each for reading in turn] for name, each in turned.items()}
    compare(record, rounds, "steady round of three sites", "s", TIME_LIMIT, lambda one: one["seconds"])
    what = "traffic of a steady round of three sites"
    compare(record, rounds, what, "MB", TRAFFIC_LIMIT, lambda one: (one["in"] + one["out"]) / 1e6)
    schema = schema_of_readme(side)
    for num_sites in NUM_SITES:
        measure_protocol(record, schema, num_sites)


def compare(
    record: Record, rounds: dict[str, list[Readings]], what: str, unit: str, limit: float,
    value: Callable[[Readings], float],
) -> None:  # fmt: skip
    """Write a value of plain and secure rounds, and their ratio as a target."""
    plain = record.add(what, PLAIN, unit, [value(one) for one in rounds[PLAIN]])
    secure = record.add(what, SECURE, unit, [value(one) for one in rounds[SECURE]], plain)
    record.target(f"{what} / plain", limit, secure.ratio, "×")


def measure_protocol(record: Record, schema: Schema, num_sites: int) -> None:
    """Measure one round in this process, without training and messages; a site's part is that of one."""
    generator = np.random.default_rng(1)
    local: Weights = [generator.normal(0, 0.01, spec.shape).astype(np.float32) for spec in schema]
    what = f"arithmetic of a round, {num_sites} sites"
    began = time.perf_counter()
    weighted_mean((local, 1.0) for _ in range(num_sites))
    plain = record.add(what, "server, plain mean", "s", [time.perf_counter() - began])
    for fate, num_survivors in (("all stay", num_sites), ("a third drops out", -(-2 * num_sites // 3))):
        at_site, at_server, in_messages = play(schema, local, num_sites, range(num_survivors))
        record.add(what, f"one site, {fate}", "s", [at_site])
        record.add(what, f"server, {fate}", "s", [at_server], plain)
        share = 100 * in_messages / (num_sites * num_bytes(schema))
        record.add(f"messages of the steps, {num_sites} sites", fate, "% of the updates", [share])


def play(schema: Schema, local: Weights, num_sites: int, survivors: range) -> tuple[float, float, int]:
    """Return the seconds of one site and of the server, and the bytes of all messages but the updates."""
    start: Weights = [np.zeros(spec.shape, np.float32) for spec in schema]
    sums: Residues = [np.zeros(spec.shape, np.uint32) for spec in schema]
    is_trained, everyone = [True] * len(schema), range(num_sites)
    seconds: dict[str, list[float]] = {}

    @contextlib.contextmanager
    def timed(step: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        seconds.setdefault(step, []).append(time.perf_counter() - began)

    members, keys, sealed, revealed = {}, {}, {}, []
    for site in everyone:
        with timed("keys"):
            members[site] = Member(site, "benchmark")
            keys[site] = members[site].public_keys()
    for site in everyone:
        with timed("shares"):
            sealed[site] = members[site].share(keys)
    for site in survivors:
        with timed("mask"):
            residues = encode_change(schema, local, start, is_trained, 1, num_sites)
            members[site].mask(residues, {other: sealed[other][site] for other in keys if other != site})
        with timed("add"):
            add_residues(sums, residues)
    for site in survivors:
        with timed("reveal"):
            revealed.append((site, members[site].reveal(survivors)))
    with timed("unmask"):
        remove_masks(sums, keys, everyone, survivors, revealed, "benchmark")
        decode_mean(schema, sums, start, is_trained, len(survivors), num_sites)
    at_site = sum(median(seconds[step]) for step in ("keys", "shares", "mask", "reveal"))
    at_server = sum(seconds["add"]) + sum(seconds["unmask"])
    to_all = len(json.dumps({site: each.to_message() for site, each in keys.items()}))
    through = 2 * sum(len(json.dumps(each)) for each in sealed.values())  # to the coordinator and on
    at_the_end = sum(len(json.dumps(each.to_message())) for _, each in revealed)
    return at_site, at_server, (num_sites + 1) * to_all + through + at_the_end


def schema_of_readme(side: int) -> Schema:
    """Return the schema of the README's network."""
    from helpers.model_instance_helper import model_for  # TensorFlow, only once the workers have ended

    return model_for(Config(INPUT_SHAPE=(side, side))).schema

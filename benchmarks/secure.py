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

NUM_SITES = (3, 10, 30)
TIME_LIMIT, TRAFFIC_LIMIT = 1.5, 1.1
PLAIN, SECURE = "plain", "SECURE_AGGREGATION=true"


def measure(record: Record, folder: Path, quick: bool) -> None:
    """Measure whole rounds of 3, 10 and 30 sites, and the protocol by itself."""
    side, num_train, num_val, turns = (32, 20, 8, 1) if quick else (128, 216, 76, 3)
    measure_rounds(record, folder / "readme", 3, side, (num_train, num_val), turns)
    for num_sites in () if quick else NUM_SITES[1:]:
        measure_rounds(record, folder / str(num_sites), num_sites, 32, (20, 8), turns)
    schema = schema_of_readme(side)
    for num_sites in NUM_SITES:
        measure_protocol(record, schema, num_sites)


def measure_rounds(
    record: Record, folder: Path, num_sites: int, side: int, num_images: tuple[int, int], turns: int
) -> None:
    """Measure steady rounds with and without masks, in turn.

    Args:
        num_images: of each site, for training and for validation.
    """
    write_prepared(folder / "prepared", *num_images, (side, side))
    options = ["--data-at", "sites", "--min-clients", str(num_sites), "--epochs", "3"]
    options += ["--input-shape", f"{side},{side}"]
    record.progress(f"starting {num_sites} sites")
    own = {"DT_THREADS": "1", "DT_SITE_DIR": str(folder / "sites")}
    with (
        Pipeline(folder / "pipeline", folder / "prepared", 1, all_in_redis=True, more=own) as pipeline,
        contextlib.ExitStack() as stack,
    ):
        for number in range(num_sites):
            environment = pipeline.environment | {"DT_SITE": f"site{number}"}
            workers = stack.enter_context(WorkerProcesses([f"site{number}"], environment, print_nothing))
            workers.wait_until_ready(pipeline.client)
        contenders = {
            PLAIN: lambda: pipeline.train(*options)[1:],
            SECURE: lambda: pipeline.train(*options, "--secure-aggregation", "true")[1:],
        }
        turned = in_turn(contenders, turns)
    what = f"steady round of {num_sites} sites, {sum(num_images)} images of {side}×{side}"
    compare(record, turned, PLAIN, SECURE, what, "s", TIME_LIMIT, lambda one: one["seconds"])
    traffic = f"traffic of a {what}"
    compare(
        record, turned, PLAIN, SECURE, traffic, "MB", TRAFFIC_LIMIT,
        lambda one: (one["in"] + one["out"]) / 1e6,
    )  # fmt: skip


def compare(
    record: Record, turned: dict[str, list[list[Readings]]], plain: str, other: str, what: str, unit: str,
    limit: float | None, value: Callable[[Readings], float],
) -> None:  # fmt: skip
    """Write a value of the rounds of two contenders, and their ratio in each turn.

    Args:
        limit: of the median ratio, as a target; None without one.
    """
    rounds = {name: [value(one) for turn in each for one in turn] for name, each in turned.items()}
    record.add(what, other, unit, rounds[other], record.add(what, plain, unit, rounds[plain]))
    turns = zip(turned[other], turned[plain], strict=True)
    ratios = [median(map(value, each)) / median(map(value, reference)) for each, reference in turns]
    ratio = record.add(f"{what} / {plain}", other, "×", ratios)
    if limit is not None:
        record.target(f"{what} / {plain}", limit, ratio.median, "×")


def print_nothing(name: str, line: str) -> None:
    """Drop a line of a worker."""


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
    at_the_end += len(survivors) * len(json.dumps(dict.fromkeys(survivors, "0" * 128)))  # signatures
    return at_site, at_server, (num_sites + 1) * to_all + through + at_the_end


def schema_of_readme(side: int) -> Schema:
    """Return the schema of the README's network."""
    from helpers.model_instance_helper import model_for  # TensorFlow, only once the workers have ended

    return model_for(Config(INPUT_SHAPE=(side, side))).schema

"""A worker that writes which functions each task calls: the project's own Celery app, traced.

Started with `--app=benchmarks.traced_worker`. Every training and aggregation leaves a JSON file in the
folder that BENCHMARK_TRIPS names. The product has no hook for this.
"""

import json
import math
import os
import time
from pathlib import Path
from typing import Any

from celery.signals import task_postrun, task_prerun

from benchmarks.tracing import Tracer
from celery_app import app
from helpers.cluster import heartbeat

__all__ = ["app"]

VARIABLE = "BENCHMARK_TRIPS"
WINDOWS = {"tasks.train": "train_client", "tasks.aggregate": "aggregate_round"}
"""Tasks that are traced, and the function of each that does the work of a round."""

heartbeat.PROGRESS_INTERVAL_S = math.inf  # a batch that took a second would add what shows progress
_tracers: dict[str, Tracer] = {}


def write_trip(tracer: Tracer, part: str, round_number: int) -> None:
    """Write the functions that were recorded; the last trip of a part has the last name."""
    file = Path(os.environ[VARIABLE]) / f"{part}-{round_number}-{time.time_ns()}.json"
    file.write_text(json.dumps(sorted(tracer.trip.functions)))


@task_prerun.connect
def _start(task_id: str, task: Any, **_: Any) -> None:
    if task.name in WINDOWS:
        _tracers[task_id] = Tracer(WINDOWS[task.name])
        _tracers[task_id].start()


@task_postrun.connect
def _stop(task_id: str, task: Any, args: Any, **_: Any) -> None:
    if tracer := _tracers.pop(task_id, None):
        tracer.stop()
        write_trip(tracer, task.name, args[-1]["round"])  # the order is the last argument

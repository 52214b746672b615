"""Size, traffic and training speed of every network."""

import time
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from helpers.architectures import ARCHITECTURES, OWN
from helpers.federated.weights import num_bytes
from helpers.global_config import Config
from helpers.model_instance_helper import ModelInstance, initial_weights, model_for
from helpers.settings.errors import UserError
from helpers.settings.outside_text import printable

WARM_UP_STEPS = 2
MEASURED_S = 2.0
"""Shortest time of a measurement, seconds. At least one step is measured."""


@dataclass(frozen=True)
class NetworkCost:
    """The costs of one network.

    Attributes:
        name: its value of ARCHITECTURE.
        num_parameters: all parameters, with moving statistics.
        megabytes: float32 weights that a client moves in a round, down and up.
        images_per_second: speed of training steps; None where it was not measured.
        problem: why the network could not be built. The numbers are then 0.
    """

    name: str
    num_parameters: int = 0
    megabytes: float = 0.0
    images_per_second: float | None = None
    problem: str = ""


def print_costs(config: Config, *, with_timing: bool, console: Console | None = None) -> None:
    """Print every network that a run may use on this machine, with those in OWN_ARCHITECTURES."""
    console = console or Console()
    names = [*ARCHITECTURES, *config.OWN_ARCHITECTURES]
    verb = "measuring" if with_timing else "building"
    costs = []
    with console.status("") as status:
        for number, name in enumerate(names, 1):
            status.update(Text(f"{verb} {name} ({number} of {len(names)})"))
            costs.append(cost_of(name, config, with_timing))
    console.print(_table([cost for cost in costs if not cost.problem]))
    for cost in costs:
        if cost.problem:  # outside the table, whose last column is narrow
            console.print(Text(printable(f"{cost.name}: {cost.problem}")), soft_wrap=True)
    height, width = config.INPUT_SHAPE
    text = f"at INPUT_SHAPE {height}x{width}, INPUT_DIM {config.INPUT_DIM}, PRECISION {config.PRECISION}"
    if with_timing:
        text += f"; training steps of {config.TRAIN_BATCH_SIZE} images on this machine, as busy as it is now"
    console.print(f"{text}; docs/networks.md says when to choose which", soft_wrap=True, highlight=False)


def cost_of(name: str, config: Config, with_timing: bool) -> NetworkCost:
    """Build one network, all of it trainable and without pretrained weights, and time its training step."""
    plain = {"ARCHITECTURE": name, "TRAIN_STEP": "plain", "PRETRAINED": "none", "TRAIN_BODY": True}
    network = config.model_copy(update=plain)
    try:
        instance = model_for(network)
        speed = None
        if with_timing:
            speed = images_per_second(instance, initial_weights(network), config.TRAIN_BATCH_SIZE)
    except UserError as error:
        return NetworkCost(name, problem=str(error))
    size = num_bytes(instance.schema)
    return NetworkCost(name, instance.model.count_params(), 2 * size / 1e6, speed)


def images_per_second(instance: ModelInstance, weights: list[np.ndarray], batch_size: int) -> float:
    """Return the speed of the training step on noise images, without its first calls."""
    instance.begin_training(weights, 0.001, [0], {})
    images = np.random.default_rng(0).random((batch_size, *instance.model.input_shape[1:]), np.float32)
    labels = (np.arange(batch_size) % 2).astype(np.float32).reshape(-1, 1)
    for _ in range(WARM_UP_STEPS):
        instance.model.train_on_batch(images, labels)
    began, steps = time.perf_counter(), 0
    while steps == 0 or time.perf_counter() - began < MEASURED_S:
        instance.model.train_on_batch(images, labels)
        steps += 1
    return steps * batch_size / (time.perf_counter() - began)


def _table(costs: list[NetworkCost]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("ARCHITECTURE", overflow="fold")
    for header in ("parameters", "MB per round\nand client", "images/s"):
        table.add_column(header, justify="right")
    table.add_column("", overflow="fold")
    for cost in costs:
        speed = "" if cost.images_per_second is None else f"{cost.images_per_second:,.0f}"
        imagenet = ARCHITECTURES.get(cost.name, OWN).imagenet
        note = f"PRETRAINED={imagenet}" if imagenet else ""
        table.add_row(cost.name, f"{cost.num_parameters:,}", f"{cost.megabytes:.1f}", speed, note)
    return table

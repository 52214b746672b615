"""`python run.py models`: the networks, what each costs a round, and how fast it trains here."""

import time
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from helpers.architectures import ARCHITECTURES
from helpers.federated.weights import num_bytes
from helpers.global_config import Config
from helpers.model_instance_helper import ModelInstance, initial_weights, model_for
from helpers.settings.errors import UserError

WARM_UP_STEPS = 2
MEASURED_S = 2.0
"""At least so long, seconds, and at least one step."""


@dataclass(frozen=True)
class Facts:
    """What is shown of one network.

    Attributes:
        name: what ARCHITECTURE calls it.
        num_parameters: all of them, moving statistics too.
        megabytes: of float32 weights, down and up, that a client moves in a round.
        images_per_second: of training steps; None where that was not measured.
        problem: why it could not be built; then the numbers are 0.
    """

    name: str
    num_parameters: int = 0
    megabytes: float = 0.0
    images_per_second: float | None = None
    problem: str = ""


def models(config: Config, *, with_timing: bool, console: Console | None = None) -> None:
    """Print every network that a run may name on this machine, own functions too."""
    console = console or Console()
    names = [*ARCHITECTURES, *config.OWN_ARCHITECTURES]
    what = "measuring" if with_timing else "building"
    found = []
    with console.status("") as status:
        for number, name in enumerate(names, 1):
            status.update(Text(f"{what} {name} ({number} of {len(names)})"))
            found.append(facts_of(name, config, with_timing))
    console.print(_table([facts for facts in found if not facts.problem]))
    for facts in found:
        if facts.problem:  # not in the table, whose last column is narrow
            console.print(f"{facts.name}: {facts.problem}", soft_wrap=True, highlight=False, markup=False)
    height, width = config.INPUT_SHAPE
    text = f"at INPUT_SHAPE {height}x{width}, INPUT_DIM {config.INPUT_DIM}, PRECISION {config.PRECISION}"
    if with_timing:
        text += f"; training steps of {config.TRAIN_BATCH_SIZE} images on this machine, as busy as it is now"
    console.print(f"{text}; docs/networks.md says when to choose which", soft_wrap=True, highlight=False)


def facts_of(name: str, config: Config, with_timing: bool) -> Facts:
    """Build one network, all of it to be trained from the start, and train it for a moment."""
    plain = {"ARCHITECTURE": name, "TRAIN_STEP": "plain", "PRETRAINED": "none", "TRAIN_BODY": True}
    network = config.model_copy(update=plain)
    try:
        instance = model_for(network)
        speed = None
        if with_timing:
            speed = images_per_second(instance, initial_weights(network), config.TRAIN_BATCH_SIZE)
    except UserError as error:
        return Facts(name, problem=str(error))
    size = num_bytes(instance.schema)
    return Facts(name, instance.model.count_params(), 2 * size / 1e6, speed)


def images_per_second(instance: ModelInstance, weights: list[np.ndarray], batch_size: int) -> float:
    """How many images a second the training step takes, of noise, its first calls apart."""
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


def _table(found: list[Facts]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("ARCHITECTURE", overflow="fold")
    for header in ("parameters", "MB a round\nand client", "images/s"):
        table.add_column(header, justify="right")
    table.add_column("", overflow="fold")
    for facts in found:
        speed = "" if facts.images_per_second is None else f"{facts.images_per_second:,.0f}"
        has_weights = facts.name in ARCHITECTURES and ARCHITECTURES[facts.name].has_body
        note = "PRETRAINED=imagenet" if has_weights else ""
        table.add_row(facts.name, f"{facts.num_parameters:,}", f"{facts.megabytes:.1f}", speed, note)
    return table

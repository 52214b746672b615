"""The networks by name; each file builds one."""

from collections.abc import Callable

import keras

from helpers.architectures.seed_cnn import build_seed_cnn

ARCHITECTURES: dict[str, Callable[[tuple[int, int, int]], keras.Model]] = {
    "seed_cnn": build_seed_cnn,
}

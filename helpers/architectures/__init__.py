"""The networks by name; each file builds one."""

from typing import Protocol

import keras

from helpers.architectures.seed_cnn import build_seed_cnn


class Architecture(Protocol):
    """Builds a network, uncompiled; with `fast` of layers that train faster, with the same weights."""

    def __call__(self, input_shape: tuple[int, int, int], *, fast: bool = False) -> keras.Model: ...


ARCHITECTURES: dict[str, Architecture] = {
    "seed_cnn": build_seed_cnn,
}

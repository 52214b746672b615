"""One compiled Keras model, kept between rounds: build it, fill it, make it new again."""

import functools
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from helpers.architectures import ARCHITECTURES
from helpers.federated.weights import Schema, Weights, schema_of
from helpers.global_config import Config
from helpers.local_training.client_optimizer import GradientTerms, client_optimizer

LOSS = "binary_crossentropy"


class ModelInstance:
    """A compiled model whose traced functions survive from round to round.

    Args:
        model: any; it is compiled here.
        optimizer: what its clients train with; Adam by default.

    Attributes:
        model: the same, with binary cross-entropy and the optimiser.
        schema: names, dtypes and shapes of its weights, in `get_weights()` order.
        trainable: for each of them, whether gradients change it; moving statistics are not.
        normalising: for each of them, whether it belongs to batch normalisation.
    """

    def __init__(self, model: keras.Model, optimizer: keras.Optimizer | None = None) -> None:
        self.model = model
        # Beside the loss, the same without class weights: what is reported.
        self.model.compile(optimizer or client_optimizer("adam"), LOSS, metrics=[LOSS])
        self.model.optimizer.build(self.model.trainable_variables)
        self.schema: Schema = schema_of(self.names, self.model.get_weights())
        trained = {variable.path for variable in self.model.trainable_variables}
        self.trainable = tuple(name in trained for name in self.names)
        norms = [layer for layer in _layers(model) if isinstance(layer, keras.layers.BatchNormalization)]
        normalising = {variable.path for layer in norms for variable in layer.weights}
        self.normalising = tuple(name in normalising for name in self.names)

    @property
    def names(self) -> list[str]:
        """Names of the weights, in `get_weights()` order."""
        return [variable.path for variable in self.model.weights]

    def begin_training(
        self,
        weights: Weights,
        learning_rate: float,
        seed: list[int],
        corrections: Mapping[str, NDArray[np.generic]],
    ) -> None:
        """Set weights, and put optimiser and dropout into the state of a newly built model.

        Args:
            weights: arrays that fit `schema`.
            learning_rate: of the optimiser.
            seed: non-negative integers; the dropout masks follow from them alone.
            corrections: what an optimiser that was made for it adds to the gradients, by name of the weights.
        """
        self.model.set_weights(weights)
        optimizer = self.model.optimizer
        for variable in optimizer.variables:
            variable.assign(np.zeros(variable.shape, variable.dtype))
        optimizer.learning_rate = learning_rate
        if isinstance(optimizer, GradientTerms):
            optimizer.begin_round(self.model.trainable_variables, corrections)
        dropouts = [layer for layer in self.model.layers if isinstance(layer, keras.layers.Dropout)]
        for index, layer in enumerate(dropouts):
            layer.seed_generator.state.assign(np.random.SeedSequence([*seed, index]).generate_state(2))


def _layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """All layers, those of models within the model too."""
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from _layers(layer)


def _build(input_shape: tuple[int, int], batch_norm_momentum: float, *, fast: bool = False) -> keras.Model:
    model = ARCHITECTURES["seed_cnn"]((*input_shape, 3), fast=fast)
    for layer in _layers(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = batch_norm_momentum
    return model


@functools.cache
def _limit_threads(threads: int) -> None:
    """Give TensorFlow so many threads; possible only before it has computed anything."""
    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)


@functools.lru_cache(maxsize=2)
def _instance(
    input_shape: tuple[int, int],
    batch_norm_momentum: float,
    fast: bool,
    optimizer: str,
    proximal_mu: float,
    is_corrected: bool,
) -> ModelInstance:
    model = _build(input_shape, batch_norm_momentum, fast=fast)
    return ModelInstance(
        model, client_optimizer(optimizer, proximal_mu=proximal_mu, is_corrected=is_corrected)
    )


def model_for(config: Config) -> ModelInstance:
    """Return this process' model for `config`, built at the first call."""
    _limit_threads(config.THREADS)
    return _instance(
        config.INPUT_SHAPE,
        config.BATCH_NORM_MOMENTUM,
        config.TRAIN_STEP == "fast",
        config.OPTIMIZER,
        config.PROXIMAL_MU if config.STRATEGY == "fedprox" else 0.0,
        config.STRATEGY == "scaffold",
    )


def initial_weights(config: Config) -> Weights:
    """Build a new model from `config.SEED` and return its weights."""
    keras.utils.set_random_seed(config.SEED)
    return list(_build(config.INPUT_SHAPE, config.BATCH_NORM_MOMENTUM).get_weights())


def keras_file(config: Config, weights: Weights) -> bytes:
    """Return a `.keras` file of the model with `weights`; it opens with `keras.models.load_model`.

    The model in it is not compiled: an optimiser's state would triple the file.
    """
    model = _build(config.INPUT_SHAPE, config.BATCH_NORM_MOMENTUM)
    model.set_weights(weights)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        return path.read_bytes()

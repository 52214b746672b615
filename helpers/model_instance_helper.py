"""The compiled Keras model of a process, kept and reset between rounds."""

import functools
import math
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from helpers.architectures.building import Recipe, all_layers, build, names_of
from helpers.architectures.pretrained import load_weights
from helpers.federated.weights import ArraySpec, Schema, Weights, schema_of
from helpers.global_config import Config
from helpers.local_training.client_optimizer import GradientTerms, client_optimizer, options_of
from helpers.local_training.devices import choose_gpu, limit_threads
from helpers.local_training.losses import smoothed_loss
from helpers.local_training.round_statistics import RoundStatistics
from helpers.settings.errors import ConfigError
from helpers.settings.privacy_rules import WITHOUT_BATCH_NORM
from helpers.settings.rules import refuse_batch_norm

NO_STATE: Weights = []
_COLUMN, _VECTOR = tf.TensorSpec((None, 1), tf.float32), tf.TensorSpec((None,), tf.float32)


class ModelInstance:
    """A compiled model whose traced functions survive from round to round.

    Args:
        model: any; it is compiled here.
        optimizer: of the clients; Adam by default. For a model of precision mixed_float16, Keras wraps it in
            an optimizer that scales the loss.
        xla: whether XLA compiles the training step.
        label_smoothing: of the training loss.
        round_momentum: of batch normalization whose statistics hold the steps of one round
            (`RoundStatistics`); None if they go on from those of earlier rounds.

    Attributes:
        model: the same, compiled.
        loss: Keras' name of its loss without smoothing: binary_crossentropy where the model has one output,
            else sparse_categorical_crossentropy. Labels are (B, 1) for both.
        names: of its weights, in `get_weights()` order.
        schema: names, dtypes and shapes of its weights, in `get_weights()` order.
        trainable: for each of them, whether gradients change it; moving statistics are not.
        normalizing: for each of them, whether it belongs to batch normalization.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.Optimizer | None = None,
        *,
        xla: bool = False,
        label_smoothing: float = 0.0,
        round_momentum: float | None = None,
    ) -> None:
        self.model = model
        num_outputs = model.output_shape[-1]
        self.loss = "binary_crossentropy" if num_outputs == 1 else "sparse_categorical_crossentropy"
        # The metric is the loss without class weights and smoothing, which is reported.
        self.model.compile(
            optimizer or client_optimizer("adam"),
            smoothed_loss(num_outputs, label_smoothing) if label_smoothing else self.loss,
            metrics=[self.loss],
            jit_compile=xla,
        )
        self.model.optimizer.build(self.model.trainable_variables)
        nothing = np.zeros((1, 1), np.float32), np.zeros((1, num_outputs), np.float32)
        self.model.compute_metrics(None, *nothing)  # makes their variables, which `_restart` sets
        self.names = names_of(model)
        self.schema: Schema = schema_of(self.names, self.model.get_weights())
        trained = {variable.path for variable in self.model.trainable_variables}
        self.trainable = tuple(name in trained for name in self.names)
        norms = [layer for layer in all_layers(model) if isinstance(layer, keras.layers.BatchNormalization)]
        normalizing = {variable.path for layer in norms for variable in layer.weights}
        self.normalizing = tuple(name in normalizing for name in self.names)
        self._round_statistics = None if round_momentum is None else RoundStatistics(norms, round_momentum)
        # Random state of dropout and similar layers, at any depth; it is not among the weights.
        self._seeds = [state for state in self.model.variables if state.name == "seed_generator_state"]

    def begin_training(
        self,
        weights: Weights,
        learning_rate: float,
        seed: list[int],
        gradient_terms: Mapping[str, NDArray[np.generic]],
        optimizer_state: Weights = NO_STATE,
    ) -> None:
        """Set the weights, and reset dropout to that of a new model, and the optimizer unless it is kept.

        Args:
            weights: arrays that fit `schema`.
            learning_rate: of the optimizer.
            seed: non-negative integers that determine the dropout masks.
            gradient_terms: what the strategy adds to the gradients, by name of the weights.
            optimizer_state: arrays that fit `optimizer_schema`; empty for a new optimizer.
        """
        masks = [np.random.SeedSequence([*seed, n]).generate_state(2) for n in range(len(self._seeds))]
        self._restart(np.concatenate([np.ravel(array) for array in weights]), learning_rate, masks)
        self._losses = {"loss": 0.0, self.loss: 0.0}
        optimizer = self.model.optimizer
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            optimizer.dynamic_scale.assign(optimizer.initial_scale)  # it alone does not start at zero
            optimizer = optimizer.inner_optimizer
        if optimizer_state:
            for variable, array in zip(self._kept_variables(), optimizer_state, strict=True):
                variable.assign(array)
        if isinstance(optimizer, GradientTerms):
            optimizer.begin_round(self.model.trainable_variables, gradient_terms)

    @functools.cached_property
    def _restart(self) -> Any:
        """What sets all variables at once, several times as fast as one after the other."""
        masks = [tf.TensorSpec(variable.shape, variable.dtype) for variable in self._seeds]
        signature = [_VECTOR, tf.TensorSpec((), tf.float32), masks]
        return tf.function(self._set_all, signature, autograph=False)

    def _set_all(self, flat_weights: Any, learning_rate: Any, masks: list[Any]) -> None:
        optimizer = self.model.optimizer
        for variable in (*optimizer.variables, *self.model.metrics_variables):
            variable.assign(tf.zeros(variable.shape, variable.dtype))
        getattr(optimizer, "inner_optimizer", optimizer).learning_rate.assign(learning_rate)
        weights = tf.split(flat_weights, [math.prod(spec.shape) for spec in self.schema])
        for variables, values in ((self.model.weights, weights), (self._seeds, masks)):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(tf.reshape(value, variable.shape))

    @functools.cached_property
    def _read(self) -> Any:
        return tf.function(lambda: [variable.value for variable in self.model.weights], autograph=False)

    def train_step(
        self, number: int, images: Any, labels: Any, class_weight: Mapping[int, float] | None = None
    ) -> None:
        """Train on a batch: what `model.fit` does, without what it sets up for every call.

        Args:
            number: of the step in this training, from 1.
            images: float32 (B, H, W, C).
            labels: float32 (B, 1), 0 to k - 1.
            class_weight: weight of an image of each class in the loss; None weighs all alike.
        """
        if self._round_statistics is not None:
            self._round_statistics.begin_step(number)
        if class_weight is None:
            self._losses = self._train_step((images, labels))
        else:
            weights = np.array([class_weight[int(label)] for label in np.ravel(labels)], np.float32)
            self._losses = self._weighted_train_step((images, labels, weights))

    def training_losses(self) -> tuple[float, float]:
        """Return the mean loss trained on and the mean of `loss`, over the steps since `begin_training`."""
        return float(self._losses["loss"]), float(self._losses[self.loss])

    def trained_weights(self) -> Weights:
        """Return the weights, arrays that fit `schema`; one call of TensorFlow for all of them."""
        return [value.numpy() for value in self._read()]

    def predict_step(self, images: Any) -> NDArray[np.float32]:
        """Return the outputs for a batch, float32 (B, outputs)."""
        return np.asarray(self._predict_step(images).numpy(), np.float32)

    @functools.cached_property
    def _train_step(self) -> Any:
        return self._compiled(self.model.train_step, (self._image_spec, _COLUMN))

    @functools.cached_property
    def _weighted_train_step(self) -> Any:
        return self._compiled(self.model.train_step, (self._image_spec, _COLUMN, _VECTOR))

    @functools.cached_property
    def _predict_step(self) -> Any:
        return self._compiled(self.model.predict_step, self._image_spec)

    def _compiled(self, step: Callable[[Any], Any], spec: Any) -> Any:
        """Return a step that is traced once for batches of any size."""
        return tf.function(step, [spec], autograph=False, jit_compile=self.model.jit_compile or None)

    @property
    def _image_spec(self) -> Any:
        return tf.TensorSpec(self.model.input_shape, tf.float32)

    @functools.cached_property
    def optimizer_schema(self) -> Schema:
        """Names, dtypes and shapes of the optimizer's state: its number of steps, and its moments."""
        return tuple(
            ArraySpec(variable.name, variable.dtype, tuple(variable.shape))
            for variable in self._kept_variables()
        )

    def optimizer_state(self) -> Weights:
        """Return the optimizer's state after a training, arrays that fit `optimizer_schema`."""
        return [variable.numpy() for variable in self._kept_variables()]

    def _kept_variables(self) -> list[Any]:
        """Return the optimizer's variables without those that every round sets and the scale of the loss."""
        optimizer = self.model.optimizer
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)
        of_round = {id(variable) for variable in getattr(optimizer, "round_variables", ())}
        return [
            variable
            for variable in optimizer.variables
            if variable.name != "learning_rate" and id(variable) not in of_round
        ]

    def with_shifted_logits(self, weights: Weights, shifts: NDArray[np.float32]) -> Weights:
        """Return weights that add to the logits of all images, in the bias of the last layer.

        Args:
            weights: arrays that fit `schema`.
            shifts: float32, one for each output of the model.
        """
        index = self.names.index(self.model.layers[-1].bias.path)
        return [*weights[:index], np.add(weights[index], shifts), *weights[index + 1 :]]


@functools.lru_cache(maxsize=2)
def _instance(
    recipe: Recipe, xla: bool, label_smoothing: float, round_momentum: float | None, **optimizer: Any
) -> ModelInstance:
    own = client_optimizer(**optimizer)
    return ModelInstance(
        build(recipe), own, xla=xla, label_smoothing=label_smoothing, round_momentum=round_momentum
    )


def model_for(config: Config) -> ModelInstance:
    """Return the model of this process for `config`, built at the first call.

    Raises:
        ConfigError: the network cannot be built for such images, or on this machine.
    """
    limit_threads(config.THREADS)
    choose_gpu(config.GPU)
    momentum = config.BATCH_NORM_MOMENTUM if config.BATCH_NORM_STATISTICS == "round" else None
    instance = _instance(
        Recipe.of(config), config.XLA, config.LABEL_SMOOTHING, momentum, **options_of(config)
    )
    _check_normalization(config, instance)
    if config.LOGIT_ADJUSTMENT and getattr(instance.model.layers[-1], "bias", None) is None:
        raise ConfigError(
            f"LOGIT_ADJUSTMENT: the last layer of {config.ARCHITECTURE} has no bias for the prior; end it "
            "in a Dense layer with a bias and the activation"
        )
    return instance


def _check_normalization(config: Config, instance: ModelInstance) -> None:
    """Refuse settings that the batch normalization of an own network does not fit, or its absence.

    Raises:
        ConfigError: naming the setting.
    """
    if config.DP != "off" and any(map(all, zip(instance.normalizing, instance.trainable, strict=True))):
        raise ConfigError(f"DP: the network has trainable batch normalization; {WITHOUT_BATCH_NORM}")
    if not any(instance.normalizing):
        refuse_batch_norm(config)


def initial_weights(config: Config) -> Weights:
    """Return the weights of a new model: drawn from `config.SEED`, or those of PRETRAINED.

    Only the start of a run calls this, so other workers neither read PRETRAINED_DIR nor download anything.

    Raises:
        ConfigError: the weights of PRETRAINED are not available.
    """
    model = build(replace(Recipe.of(config), is_fast=False), config.SEED)  # Keras loads by class of layer
    if config.PRETRAINED != "none":
        load_weights(model, config.PRETRAINED, config.PRETRAINED_DIR, config.ARCHITECTURE)
    return list(model.get_weights())


def keras_file(config: Config, weights: Weights) -> bytes:
    """Return a `.keras` file of the model with `weights`; it opens with `keras.models.load_model`.

    The model consists of Keras' own layers in float32. It is not compiled, as the optimizer's state would
    triple the file.
    """
    recipe = Recipe.of(config)
    model = build(replace(recipe, is_fast=False, train_body=True, train_batch_norm=True, precision="float32"))
    model.set_weights(weights)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        return path.read_bytes()

"""The client's optimizer, and the terms that strategies add to its gradients inside Keras' own `fit`."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from helpers.global_config import Config

OPTIMIZERS: dict[str, type[keras.Optimizer]] = {"adam": keras.optimizers.Adam, "sgd": keras.optimizers.SGD}
"""By OPTIMIZER."""
WITHOUT_DECAY = r"(^|/)(bias|gamma|beta)(:\d+)?$"
"""Weights that WEIGHT_DECAY leaves alone, by path: biases, and scale and shift of normalization."""


class GradientTerms:
    """Mixin of a Keras optimizer that replaces a gradient g by g + μ (w − w₀) + term.

    w₀ are the weights at the start of the round. w₀ and the terms are variables of the optimizer, so that the
    training step, once traced, serves every round. The step subtracts the negatives: TensorFlow merges
    additions into one operation, whose order, and with it the last bits, changes from step to step.

    Attributes:
        proximal_mu: μ ≥ 0, the weight of μ/2 ‖w − w₀‖² in the loss; at 0 there is no w₀.
        has_terms: whether the strategy adds a term to the gradients.
    """

    proximal_mu = 0.0
    has_terms = False

    @property
    def round_variables(self) -> Sequence[Any]:
        """The variables that `begin_round` sets."""
        return [*self._anchors, *self._terms]

    def build(self, variables: Sequence[Any]) -> None:
        """Create the variables, zeros, for each trainable variable of the model."""
        optimizer: Any = super()
        optimizer.build(variables)
        self._anchors = self._like(variables, "anchor") if self.proximal_mu else []
        self._terms = self._like(variables, "negative_term") if self.has_terms else []

    def _like(self: Any, variables: Sequence[Any], name: str) -> list[Any]:
        return [self.add_variable_from_reference(variable, name) for variable in variables]

    def begin_round(self, variables: Sequence[Any], terms: Mapping[str, NDArray[np.generic]]) -> None:
        """Set w₀ to the current weights, and set the terms.

        Args:
            variables: the model's trainable ones, as `build` received them.
            terms: arrays by path of the variable, of its shape; a missing one is zero.

        Raises:
            ValueError: a term without a variable, or an optimizer that was made without terms.
        """
        known = {variable.path for variable in variables} if self._terms else set()
        if unknown := sorted(terms.keys() - known):
            raise ValueError(f"{len(unknown)} gradient terms without a variable, such as {unknown[0]!r}")
        for variable, anchor in zip(variables, self._anchors, strict=bool(self._anchors)):
            anchor.assign(variable)
        for variable, term in zip(variables, self._terms, strict=bool(self._terms)):
            term.assign(np.negative(terms.get(variable.path, np.zeros(variable.shape, variable.dtype))))

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Any]) -> None:
        """Apply the gradients with the terms added; every training step of Keras calls this."""
        if self._anchors:
            held = zip(grads, trainable_variables, self._anchors, strict=True)
            grads = [gradient - self.proximal_mu * (anchor - weight) for gradient, weight, anchor in held]
        if self._terms:
            grads = [gradient - term for gradient, term in zip(grads, self._terms, strict=True)]
        optimizer: Any = super()
        optimizer.apply(grads, trainable_variables)


def options_of(config: Config) -> dict[str, Any]:
    """Return the arguments of `client_optimizer` that the settings ask for."""
    options = {
        "proximal_mu": config.strategy.proximal_mu,
        "has_terms": bool(config.strategy.client_state),
        "weight_decay": config.WEIGHT_DECAY or None,
        "global_clipnorm": config.MAX_GRADIENT_NORM or None,
    }
    if config.OPTIMIZER == "sgd":
        options |= {"momentum": config.MOMENTUM, "nesterov": config.NESTEROV}
    return {"name": config.OPTIMIZER, **options}


def client_optimizer(
    name: str, *, proximal_mu: float = 0.0, has_terms: bool = False, **options: Any
) -> keras.Optimizer:
    """Return an optimizer of OPTIMIZERS, with `GradientTerms` where the arguments need them.

    Args:
        name: OPTIMIZER.
        proximal_mu, has_terms: as in `GradientTerms`.
        **options: of Keras' class. Weight decay is decoupled (Loshchilov and Hutter 2019, "AdamW"), and a
            limit of the gradient's norm applies to the gradient with the terms.
    """
    kind = OPTIMIZERS[name]
    if proximal_mu or has_terms:
        attributes = {"proximal_mu": proximal_mu, "has_terms": has_terms}
        kind = type(f"Corrected{kind.__name__}", (GradientTerms, kind), attributes)
    optimizer: keras.Optimizer = kind(**options)
    optimizer.exclude_from_weight_decay(var_names=[WITHOUT_DECAY])
    return optimizer

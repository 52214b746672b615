"""A client's optimizer, and the terms that some algorithms add to its gradients inside Keras' own `fit`."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

OPTIMIZERS: dict[str, type[keras.Optimizer]] = {"adam": keras.optimizers.Adam, "sgd": keras.optimizers.SGD}
"""By OPTIMIZER; SGD is plain, without momentum."""


class GradientTerms:
    """Mixin of a Keras optimizer: from a gradient g it makes g + μ (w − w₀) + correction.

    w₀ are the weights that the round began with. w₀ and correction are variables of the optimizer, so that
    the training step, once traced, serves every round.

    Attributes:
        proximal_mu: μ ≥ 0; at 0 there is no w₀. With it, the loss is held near w₀ by μ/2 ‖w − w₀‖²
            (Li et al. 2020, "Federated Optimization in Heterogeneous Networks", "FedProx", Algorithm 2).
        is_corrected: whether there are corrections (SCAFFOLD's c − c_i; see `strategies.scaffold`).
    """

    proximal_mu = 0.0
    is_corrected = False

    def build(self, variables: Sequence[Any]) -> None:
        """Make the variables, zero, one for each of the model's trainable ones where there is such a term."""
        optimizer: Any = super()
        optimizer.build(variables)
        self._anchors = self._like(variables, "anchor") if self.proximal_mu else []
        self._corrections = self._like(variables, "correction") if self.is_corrected else []

    def _like(self: Any, variables: Sequence[Any], name: str) -> list[Any]:
        return [self.add_variable_from_reference(variable, name) for variable in variables]

    def begin_round(self, variables: Sequence[Any], corrections: Mapping[str, NDArray[np.generic]]) -> None:
        """Take the weights as they are for w₀, and set the corrections.

        Args:
            variables: the model's trainable ones, as `build` had them.
            corrections: by path of the variable, of its shape; one that is not there has none.

        Raises:
            ValueError: a correction of no variable, or of an optimizer that was made without.
        """
        known = {variable.path for variable in variables} if self._corrections else set()
        if unknown := sorted(corrections.keys() - known):
            raise ValueError(f"{len(unknown)} corrections of nothing, such as {unknown[0]!r}")
        for variable, anchor in zip(variables, self._anchors, strict=bool(self._anchors)):
            anchor.assign(variable)
        for variable, correction in zip(variables, self._corrections, strict=bool(self._corrections)):
            zeros = np.zeros(variable.shape, variable.dtype)
            correction.assign(corrections.get(variable.path, zeros))

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Any]) -> None:
        """As Keras' own, which every training step calls, with the terms added."""
        if self._anchors:
            held = zip(grads, trainable_variables, self._anchors, strict=True)
            grads = [gradient + self.proximal_mu * (weight - anchor) for gradient, weight, anchor in held]
        if self._corrections:
            grads = [gradient + term for gradient, term in zip(grads, self._corrections, strict=True)]
        optimizer: Any = super()
        optimizer.apply(grads, trainable_variables)


def client_optimizer(name: str, *, proximal_mu: float = 0.0, is_corrected: bool = False) -> keras.Optimizer:
    """Return an optimizer of OPTIMIZERS, with the terms of `GradientTerms` that are asked for, if any."""
    kind = OPTIMIZERS[name]
    if not proximal_mu and not is_corrected:
        return kind()
    terms = {"proximal_mu": proximal_mu, "is_corrected": is_corrected}
    optimizer: keras.Optimizer = type(f"Corrected{kind.__name__}", (GradientTerms, kind), terms)()
    return optimizer

"""Base class of the strategies, and the inputs of an aggregation."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from helpers.federated.weights import Schema, Weights


@dataclass(frozen=True)
class Update:
    """A client's update.

    Attributes:
        weights: the client's weights after its training, arrays in model order.
        num_examples: training images it saw, each as often as it was, > 0.
        num_steps: training steps it made, > 0.
        num_rows: training images it has, > 0.
    """

    weights: Weights
    num_examples: int
    num_steps: int
    num_rows: int


@dataclass(frozen=True)
class ServerInputs:
    """What the server knows when it aggregates a round.

    Attributes:
        schema: names, dtypes and shapes of the model.
        trainable: for each array, whether strategies may step it. Moving statistics and arrays that clients
            keep private are averaged instead.
        num_clients: all clients that may take part in the run.
        num_participants: clients chosen for this round, whether or not they answered.
        read_global_weights: returns the weights that the round began with.
        read_state: returns the arrays of `server_schema` after the round before; empty before the first.
    """

    schema: Schema
    trainable: Sequence[bool]
    num_clients: int
    num_participants: int
    read_global_weights: Callable[[], Weights]
    read_state: Callable[[], Weights]


class Strategy:
    """How updates become the next global weights, and what clients add to their training.

    A strategy is an object without state: it is made from the settings of a run, and what it
    remembers is passed in and returned. Subclasses override `aggregate` and what else they need.

    Args:
        settings: values by name, those of `Config` for a run.

    Attributes:
        reads: names of the settings that only some strategies read and this one does.
        proximal_mu: μ ≥ 0; clients add μ/2 ‖w − w₀‖² to their loss, w₀ being the weights they began with.
        client_state: name of what a client remembers of every trainable array; empty for nothing. A strategy
            with it also adds `gradient_term` to the client's gradients.
        shares_state: whether all clients of a round receive `shared_state`.
        server_state: names of what the server remembers of every trainable array.
        needs_only_mean: whether the mean of the updates is all that the server needs of them.
        weighs_by_images: whether that mean is weighted by the images each client saw.
    """

    reads: ClassVar[tuple[str, ...]] = ()
    client_state: ClassVar[str] = ""
    shares_state: ClassVar[bool] = False
    server_state: ClassVar[tuple[str, ...]] = ()
    needs_only_mean: ClassVar[bool] = False
    weighs_by_images: ClassVar[bool] = True
    proximal_mu: float = 0.0

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = settings

    # Checks, before and during a run

    def check(self) -> str:
        """Return why other settings do not fit this strategy, beginning with one's name; empty if they do."""
        return ""

    def shortage(self, num_clients: int) -> str:
        """Return why this number of clients a round is too small, beginning with a setting's name."""
        return ""

    # At a client

    def gradient_term(self, own: Weights, shared: Weights) -> Weights:
        """Return what is added to the gradient of every trainable array in every step.

        Args:
            own: the client's state; zeros before its first training.
            shared: `shared_state` of the round before; zeros before there is any.
        """
        raise NotImplementedError

    def next_client_state(
        self,
        own: Weights,
        shared: Weights,
        began: Weights,
        ended: Weights,
        *,
        num_steps: int,
        learning_rate: float,
    ) -> Weights:
        """Return a client's state after its training.

        Args:
            own, shared: as for `gradient_term`.
            began, ended: the trainable arrays before and after the training.
            num_steps: training steps made, > 0.
            learning_rate: of these steps.
        """
        raise NotImplementedError

    # At the server

    def aggregate(self, updates: Iterable[Update], server: ServerInputs) -> tuple[Weights, Weights]:
        """Return the next global weights and the server's state, arrays that fit `server_schema`.

        `updates` is read once, one update at a time, so that memory does not grow with their number.

        Raises:
            QuorumError: too few updates for this strategy.
            SchemaError: the result is out of the range of its dtype.
        """
        raise NotImplementedError

    def shared_state(self, client_states: Iterator[Weights]) -> Weights:
        """Return what all clients of the next round receive, from the states of all clients of the run."""
        raise NotImplementedError

    def server_schema(self, schema: Schema, trainable: Sequence[bool]) -> Schema:
        """Return names, dtypes and shapes of what the server remembers; empty where it is nothing."""
        trained = [spec for spec, is_trained in zip(schema, trainable, strict=True) if is_trained]
        return tuple(
            replace(spec, name=f"{spec.name}.{name}") for spec in trained for name in self.server_state
        )


def weighted(updates: Iterable[Update], factor: Callable[[Update], float]) -> Iterator[tuple[Weights, float]]:
    """Yield each update's weights with their factor in a mean, holding one update at a time."""
    for update in updates:
        yield update.weights, factor(update)
        del update  # before the next one is fetched


def zeros_like(schema: Schema) -> Weights:
    """Return an array of zeros for each entry of a schema."""
    return [np.zeros(spec.shape, spec.dtype) for spec in schema]

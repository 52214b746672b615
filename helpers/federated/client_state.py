"""Per-client state kept between rounds: error feedback, a strategy's state, private batch normalization,
the optimizer's state.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import compress, islice
from typing import Self

from helpers.federated.compression import UpdateDtype, check_state, state_schema
from helpers.federated.strategies.base import Strategy
from helpers.federated.weights import Schema, Weights, check_weights


@dataclass(frozen=True)
class ClientState:
    """State of one client; a part is empty where the run has none, and before the client's first round.

    Attributes:
        feedback: what rounding removed from its updates (`UPDATE_DTYPE=int8`).
        strategy: what STRATEGY remembers of every shared trainable array.
        private: its own arrays of batch normalization (`BATCH_NORM=local`; Li et al. 2021, "FedBN").
        optimizer: steps and moments of its optimizer (`OPTIMIZER_STATE=keep`).
    """

    feedback: Weights = field(default_factory=list)
    strategy: Weights = field(default_factory=list)
    private: Weights = field(default_factory=list)
    optimizer: Weights = field(default_factory=list)


@dataclass(frozen=True)
class ClientStatePlan:
    """Which arrays the clients of a run remember.

    Attributes:
        feedback, strategy, private, optimizer: names, dtypes and shapes of each part of the state, in this
            order.
        is_private: for each array of the model, whether every client keeps its own.
        is_stepped: for each array of the model, whether STRATEGY remembers something of it.
    """

    feedback: Schema
    strategy: Schema
    private: Schema
    optimizer: Schema
    is_private: Sequence[bool]
    is_stepped: Sequence[bool]

    @classmethod
    def of(
        cls,
        model: Schema,
        is_shared: Sequence[bool],
        is_private: Sequence[bool],
        update_dtype: UpdateDtype,
        strategy: Strategy,
        optimizer: Schema = (),
    ) -> Self:
        """Make the plan of a run.

        Args:
            model: schema of the model.
            is_shared: for each of its arrays, whether gradients change it and clients have it in common.
            is_private: for each, whether every client keeps its own.
            update_dtype: UPDATE_DTYPE.
            strategy: of the run.
            optimizer: what clients keep of their optimizer.
        """
        is_stepped = [bool(strategy.client_state) and shared for shared in is_shared]
        return cls(
            state_schema(update_dtype, model),
            _renamed(strategy.client_state, model, is_stepped),
            _renamed("own", model, is_private),
            _renamed("optimizer", optimizer, [True] * len(optimizer)),
            is_private,
            is_stepped,
        )

    @property
    def schema(self) -> Schema:
        """Schema of a client's whole state, as it is stored; empty where clients remember nothing."""
        return self.feedback + self.strategy + self.private + self.optimizer

    def split(self, arrays: Weights) -> ClientState:
        """Return a client's state from arrays that fit `schema`."""
        rest = iter(arrays)
        parts = (self.feedback, self.strategy, self.private, self.optimizer)
        return ClientState(*(list(islice(rest, len(part))) for part in parts))

    def check(self, arrays: Weights) -> None:
        """Refuse a state that no client following the plan has.

        Args:
            arrays: as received; they fit `schema`.

        Raises:
            SchemaError: naming the array.
        """
        check_weights(arrays, self.schema)
        check_state(self.feedback, self.split(arrays).feedback)

    def shared(self, trainable: Sequence[bool]) -> tuple[bool, ...]:
        """Return for each array whether gradients change it and clients have it in common."""
        pairs = zip(trainable, self.is_private, strict=True)
        return tuple(trains and not private for trains, private in pairs)

    def stepped(self, weights: Weights) -> Weights:
        """Return those arrays of the model of which STRATEGY remembers something."""
        return list(compress(weights, self.is_stepped))

    def private_arrays(self, weights: Weights) -> Weights:
        """Return those arrays of the model that every client keeps for itself."""
        return list(compress(weights, self.is_private))

    def with_private(self, weights: Weights, state: ClientState) -> Weights:
        """Return the global weights with the client's private arrays in their place, once it has any."""
        if not state.private:
            return weights
        own = iter(state.private)
        return [
            next(own) if private else array for array, private in zip(weights, self.is_private, strict=True)
        ]


def _renamed(kind: str, model: Schema, chosen: Sequence[bool]) -> Schema:
    """Return the chosen specs with the kind in their names: no two arrays of a file may share a name."""
    return tuple(replace(spec, name=f"{spec.name}.{kind}") for spec in compress(model, chosen))

"""What the clients of a run remember from round to round: named arrays, of up to three kinds."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import compress
from typing import Self

from helpers.federated.compression import UpdateDtype, check_state, state_schema
from helpers.federated.weights import Schema, Weights, check_weights


@dataclass(frozen=True)
class ClientState:
    """What one client remembers; a kind is empty where its run has none, and before its first round.

    Attributes:
        feedback: what rounding took from its updates (`UPDATE_DTYPE=int8`).
        control: its control variate (`STRATEGY=scaffold`).
        own: its own arrays of batch normalization (`BATCH_NORM=local`; Li et al. 2021, "FedBN").
    """

    feedback: Weights = field(default_factory=list)
    control: Weights = field(default_factory=list)
    own: Weights = field(default_factory=list)


@dataclass(frozen=True)
class ClientStatePlan:
    """Which arrays the clients of a run remember.

    Attributes:
        feedback, control, own: their names, dtypes and shapes, in this order; empty where there are none.
        is_own: for every array of the model, whether clients keep it for themselves.
        is_shared: for every array, whether gradients change it and clients have it in common.
        is_controlled: whether there is a control variate of it; none or all of those that are shared.
    """

    feedback: Schema
    control: Schema
    own: Schema
    is_own: Sequence[bool]
    is_shared: Sequence[bool]
    is_controlled: Sequence[bool]

    @classmethod
    def of(
        cls,
        model: Schema,
        trainable: Sequence[bool],
        normalizing: Sequence[bool],
        *,
        update_dtype: UpdateDtype,
        strategy: str,
        batch_norm: str,
    ) -> Self:
        """Make the plan of a run from its settings.

        Args:
            model: schema of the model.
            trainable: for each of its arrays, whether gradients change it.
            normalizing: for each, whether it is one of batch normalization.
            update_dtype, strategy, batch_norm: the settings of these names.
        """
        is_own = [batch_norm == "local" and belongs for belongs in normalizing]
        is_shared = [trains and not stays for trains, stays in zip(trainable, is_own, strict=True)]
        is_controlled = [strategy == "scaffold" and shared for shared in is_shared]
        return cls(
            state_schema(update_dtype, model),
            _renamed("control", model, is_controlled),
            _renamed("own", model, is_own),
            is_own,
            is_shared,
            is_controlled,
        )

    @property
    def schema(self) -> Schema:
        """Of all that a client remembers, as it is stored; empty where that is nothing."""
        return self.feedback + self.control + self.own

    def split(self, arrays: Weights) -> ClientState:
        """Read a client's memory from arrays that fit `schema`."""
        first, second = len(self.feedback), len(self.feedback) + len(self.control)
        return ClientState(arrays[:first], arrays[first:second], arrays[second:])

    def check(self, arrays: Weights) -> None:
        """Refuse what no client that follows the plan remembers.

        Args:
            arrays: as received; they fit `schema`.

        Raises:
            SchemaError: naming the array.
        """
        check_weights(arrays, self.schema)
        check_state(self.feedback, self.split(arrays).feedback)

    def controlled(self, weights: Weights) -> Weights:
        """Those of the model's arrays that have a control variate."""
        return list(compress(weights, self.is_controlled))

    def owned(self, weights: Weights) -> Weights:
        """Those of the model's arrays that a client keeps for itself."""
        return list(compress(weights, self.is_own))

    def with_own(self, weights: Weights, memory: ClientState) -> Weights:
        """The global weights with what the client keeps for itself in their place, once there is any."""
        if not memory.own:
            return weights
        own = iter(memory.own)
        return [next(own) if is_own else array for array, is_own in zip(weights, self.is_own, strict=True)]


def _renamed(kind: str, model: Schema, chosen: Sequence[bool]) -> Schema:
    """The chosen specs under names that tell the kind, as no two arrays of one file may share a name."""
    return tuple(replace(spec, name=f"{spec.name}.{kind}") for spec in compress(model, chosen))

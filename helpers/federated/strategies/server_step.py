"""One step of a server optimizer over a whole model, and what it leaves to remember.

Computed in float64 and rounded once; what is remembered has the dtypes of the model.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from helpers.federated.aggregation import chunks
from helpers.federated.strategies.server_optimizers import OPTIMIZERS, ServerRates, Step
from helpers.federated.weights import Schema, SchemaError, Weights, check_weights


def server_state_schema(strategy: str, schema: Schema, trainable: Sequence[bool]) -> Schema:
    """Names, dtypes and shapes of what the server remembers from round to round; empty where nothing."""
    _, names = OPTIMIZERS.get(strategy, (None, ()))
    trained = [spec for spec, is_trained in zip(schema, trainable, strict=True) if is_trained]
    return tuple(replace(spec, name=f"{spec.name}.{name}") for spec in trained for name in names)


def initial_server_state(server_schema: Schema, tau: float) -> Weights:
    """What it remembers before the first round: no momentum, second moments of τ²."""
    return [
        np.full(spec.shape, tau**2 if spec.name.endswith(".second_moment") else 0, spec.dtype)
        for spec in server_schema
    ]


def follow(
    strategy: str,
    rates: ServerRates,
    trainable: Sequence[bool],
    global_weights: Weights,
    mean: Weights,
    schema: Schema,
    state: Weights,
) -> tuple[Weights, Weights]:
    """Return the global weights after a round, and what the server remembers of it.

    Args:
        strategy: a name in OPTIMIZERS.
        rates: of the optimizer.
        trainable: one a array of the model; the others take the mean as it is.
        global_weights: those the round began with.
        mean: FedAvg's mean of the clients' weights; both fit `schema`.
        schema: of the model.
        state: what the server remembered; fits `server_state_schema`.

    Raises:
        SchemaError: arrays that do not fit, or a step beyond what their dtype can hold.
    """
    step_of, names = OPTIMIZERS[strategy]
    check_weights(state, server_state_schema(strategy, schema, trainable))
    remembered = iter(state)
    weights: Weights = []
    new_state: Weights = []
    with np.errstate(over="ignore", invalid="ignore"):  # looked for below, and named
        for old, new, is_trained in zip(global_weights, mean, trainable, strict=True):
            if not is_trained:
                weights.append(new)
                continue
            memory = [next(remembered) for _ in names]
            stepped, *memory = _step_array(step_of, rates, old, new, memory)
            weights.append(stepped)
            new_state.extend(memory)
    try:
        check_weights(weights, schema)
        check_weights(new_state, server_state_schema(strategy, schema, trainable))
    except SchemaError as error:
        raise SchemaError(
            f"the step of {strategy} at the server is out of range ({error}); "
            f"SERVER_LEARNING_RATE is {rates.learning_rate:g}: lower it, or set MAX_UPDATE_NORM"
        ) from None
    return weights, new_state


def _step_array(
    step_of: Step, rates: ServerRates, old: NDArray[np.generic], mean: NDArray[np.generic], memory: Weights
) -> Weights:
    """Return one array after its step and what is remembered of it, all of the dtype of the mean."""
    results = [np.empty(mean.size, mean.dtype) for _ in (mean, *memory)]
    flat_old, flat_mean, *flat_memory = (array.reshape(-1) for array in (old, mean, *memory))
    for part in chunks(mean.size):
        change = np.subtract(flat_mean[part], flat_old[part], dtype=np.float64)
        step, new_memory = step_of(change, [array[part].astype(np.float64) for array in flat_memory], rates)
        for result, values in zip(results, (np.add(flat_old[part], step), *new_memory), strict=True):
            result[part] = values
    return [result.reshape(mean.shape) for result in results]

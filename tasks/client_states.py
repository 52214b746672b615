"""What is remembered between rounds: from the checkpoint into the weight store."""

from collections.abc import Iterator

from helpers.federated.messages import SERVER, RunState, States
from helpers.federated.strategies.scaffold import server_control, zero_control
from helpers.federated.weights import Weights
from helpers.run_records.checkpoint import load_arrays
from helpers.weight_store.store import put_arrays
from preprocessing.feed.partitioning import count_clients
from tasks.run_context import RunContext


def put_states(context: RunContext, state: RunState) -> States:
    """Store what clients and server remember after the last finished round, for a run that is resumed."""
    schema = context.memory.schema
    names = [spec.name for spec in schema]
    states: States = {}
    for client, file in state.state_files.items():
        key = context.key("state", state.round, client, 0)
        arrays = load_arrays(context.folders, file, schema)
        states[client] = put_arrays(context.store, key, names, arrays).to_short()
    return states | put_server_control(context, state)


def put_server_control(context: RunContext, state: RunState) -> States:
    """Store SCAFFOLD's c for the next round's clients; it follows from what the clients remember.

    Args:
        context: of the run.
        state: after a round; it names what its clients remember.

    Returns:
        {SERVER: where it lies}; empty for any other strategy, and while no client remembers anything.
    """
    plan = context.memory
    if not plan.control or not state.state_files:
        return {}

    if state.sites:  # all that the run has met; one without a file remembers nothing yet
        clients = list(range(len(state.sites)))
    else:
        clients = context.config.clients_of(count_clients(context.data, context.config))

    def controls() -> Iterator[Weights]:
        for client in clients:
            file = state.state_files.get(str(client))
            arrays = load_arrays(context.folders, file, plan.schema) if file else None
            yield plan.split(arrays).control if arrays else zero_control(plan.control)

    names = [spec.name for spec in plan.control]
    key = context.key("control", state.round)
    return {SERVER: put_arrays(context.store, key, names, server_control(controls())).to_short()}

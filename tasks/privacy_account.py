"""Privacy that a run has spent: ε of every client, from the trainings on record."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from helpers.federated.messages import RoundOrder
from helpers.federated.results import RunState
from helpers.federated.sites.site import Site
from helpers.privacy.accountant import exceeds
from helpers.privacy.mechanism import Mechanism, mechanism_of
from helpers.run_records import journal
from helpers.run_records.checkpoint import read_state
from preprocessing.feed.partitioning import count_clients, partition
from tasks.run_context import RunContext


def account(
    context: RunContext, order: RoundOrder, clients: list[dict[str, Any]], sites: list[dict[str, Any]] | None
) -> dict[str, Any]:
    """Add `epsilon` to the rows of clients.csv of a round; return what the row of rounds.csv gets.

    Args:
        context, order: of the round.
        clients: rows of its clients, which are changed.
        sites: Site messages of the run, where its clients are sites.

    Returns:
        `epsilon`, the largest of all clients so far, and `budget_is_spent`, whether another round could
        exceed the budget. With `DP=client` no `train_loss`, which is of the clients' images without noise.
    """
    config = context.config
    if config.DP == "client":
        mechanism = mechanism_of(dict(config))
        spent = mechanism.epsilon(order.round)
        for row in clients:
            row["epsilon"] = spent
        is_over = exceeds(config.DP_TARGET_EPSILON, mechanism.epsilon(order.round + 1))
        return {"epsilon": spent, "budget_is_spent": is_over, "train_loss": None}
    state, _ = read_state(context.folders)
    trainings = trainings_of(context, state, order.round, clients)
    mechanisms = mechanisms_of(context, trainings, sites)
    epsilons = {client: mechanisms[client].epsilon(number) for client, number in trainings.items()}
    for row in clients:
        row["epsilon"] = epsilons[row["client"]]
    return {
        "epsilon": max(epsilons.values()),
        "budget_is_spent": is_spent(config.DP_TARGET_EPSILON, mechanisms, trainings),
    }


def budget_is_spent(context: RunContext, state: RunState) -> bool:
    """Return whether the next round of a run that is resumed would exceed the budget."""
    config = context.config
    if config.DP == "client":
        return exceeds(config.DP_TARGET_EPSILON, mechanism_of(dict(config)).epsilon(state.round + 1))
    trainings = trainings_of(context, state, state.round + 1, [])
    return is_spent(config.DP_TARGET_EPSILON, mechanisms_of(context, trainings, state.sites), trainings)


def trainings_of(
    context: RunContext, state: RunState, round_number: int, rows: Iterable[Mapping[str, Any]]
) -> dict[int, int]:
    """Return the trainings of every client that has taken part in the run.

    A training that was repeated counts each time, as its update may have been read. So does one for every
    resume, since the round before it may have been interrupted.

    Args:
        context: of the run.
        state: before the round.
        round_number: the round.
        rows: of clients.csv, of the round.
    """
    before = journal.read_rows(context.folders, state.tables.get("clients.csv"))
    trainings: Counter[int] = Counter()
    for row in (*(row for row in before if row["round"] < round_number), *rows):
        trainings[int(row["client"])] += int(row["attempt"]) + 1
    return {client: number + state.num_resumes for client, number in trainings.items()}


def mechanisms_of(
    context: RunContext, clients: Iterable[int], sites: list[dict[str, Any]] | None
) -> dict[int, Mechanism]:
    """Return the mechanism of every client."""
    config, settings = context.config, dict(context.config)
    if sites:
        num_rows = [sum(Site.from_message(site).train) for site in sites]
    else:
        shares = partition(context.data, config, count_clients(context.data, config) or 0)
        num_rows = [len(rows) for rows in shares]
    return {client: mechanism_of(settings, num_rows[client]) for client in clients}


def is_spent(budget: float, mechanisms: Mapping[int, Mechanism], trainings: Mapping[int, int]) -> bool:
    """Return whether one more training of a client would exceed a budget; never where there is none."""
    return any(exceeds(budget, mechanisms[client].epsilon(n + 1)) for client, n in trainings.items())

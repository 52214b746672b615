"""The record of a round whose clients are sites: evaluated by their scores, then committed."""

from typing import Any

from celery_app import app, worker_session
from helpers.federated.messages import Reference
from helpers.federated.results import Averaged, RoundResult, RunState
from helpers.federated.sites.messages import RecordOrder
from helpers.run_records.checkpoint import read_state
from helpers.weight_store.store import get_arrays
from tasks.round_record import forget, record_round, recorded_round
from tasks.run_context import RoundClock, RunContext
from tasks.run_task import write_description
from tasks.sites.site_scores import read_site_scores


@app.task(name="tasks.record", ignore_result=True)
def record(message: dict[str, Any]) -> None:
    """Record a round; see `RecordOrder` and `RoundResult`."""
    answer = worker_session().run_order(RecordOrder, message, lambda order: record_scored(order).to_message())
    if answer is not None:  # it was accepted
        order = RecordOrder.from_message(message)
        forget(RunContext.of(order), order, answer["clients"], answer["states"])


def record_scored(order: RecordOrder) -> RoundResult:
    """Compute the metrics over all sites' validation images and commit the round."""
    context, clock = RunContext.of(order), RoundClock(order)
    state, _ = read_state(context.folders)
    if state.round == order.round:
        write_description(context, state)
        return recorded_round(context, order, state)
    averaged = Averaged.from_message(order.averaged)
    weights = get_arrays(context.store, Reference.from_message(averaged.weights), context.instance.schema)
    scores = read_site_scores(context, order.round, "val", order.clients, order.sites, order.scores)
    counts = {"num_scored": len(scores.tallies), "roc_auc_over": scores.roc_auc_over}
    averaged.row.update(counts, seconds=round(clock.now(), 3))
    result = record_round(context, order, averaged, weights, scores.evaluation(), order.sites)
    if order.sites != state.sites:  # after the commit: a resume writes it too
        write_description(context, RunState.from_message(result.state))
    # The scores of this round stay: if this attempt is lost before the commit, the next one needs them.
    earlier = [
        context.key("scores-val", order.round - 1, client, 0, site=site["name"])
        for client, site in enumerate(order.sites)
    ]
    context.store.delete(earlier)
    result.left_out.extend(scores.left_out)
    return result

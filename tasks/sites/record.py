"""What runs at the averaging machine where every client is a site: recording, the test at the end."""

from typing import Any

from celery_app import app, worker_session
from helpers.federated.messages import Reference, RoundResult
from helpers.federated.sites.messages import (
    Combined,
    RecordOrder,
)
from helpers.weight_store.store import get_arrays
from tasks.round_clock import RoundClock
from tasks.round_record import record_round
from tasks.run_context import RunContext
from tasks.sites.site_scores import read_site_scores


@app.task(name="tasks.record", ignore_result=True)
def record(message: dict[str, Any]) -> None:
    """Put a round into the records; see `RecordOrder` and `RoundResult`."""
    worker_session().run_order(RecordOrder, message, lambda order: record_scored(order).to_message())


def record_scored(order: RecordOrder) -> RoundResult:
    """Compute the metrics over all sites' validation images and commit the round."""
    context, clock = RunContext.of(order), RoundClock(order)
    combined = Combined.from_message(order.combined)
    weights = get_arrays(context.store, Reference.from_message(combined.weights), context.instance.schema)
    found = read_site_scores(context, order.round, "val", order.clients, order.sites, order.scores)
    about = {"num_scored": len(found.tallies), "roc_auc_over": found.roc_auc_over}
    combined.row.update(about, seconds=round(clock.now(), 3))
    result = record_round(context, order, combined, weights, found.evaluation())
    # Not this round's: should the answer get lost, this is done again and needs them.
    earlier = [context.key("scores-val", order.round - 1, client, 0) for client in range(order.num_clients)]
    context.store.delete(earlier)
    result.left_out.extend(found.left_out)
    return result

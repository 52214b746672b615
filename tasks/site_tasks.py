"""What runs at the averaging machine where every client is a site: recording, the test at the end."""

from typing import Any

from celery_app import app, worker_session
from helpers.evaluation.tallies import MEAN
from helpers.federated.messages import Reference, RoundResult
from helpers.federated.site_messages import (
    Combined,
    FinishSitesOrder,
    OfferOrder,
    RecordOrder,
)
from helpers.weight_store.store import get_arrays, put_arrays
from tasks.final_test import site_test
from tasks.round_clock import RoundClock
from tasks.round_record import record_round
from tasks.run_context import RunContext
from tasks.run_task import best_model, write_results
from tasks.site_scores import read_site_scores


@app.task(name="tasks.record", ignore_result=True)
def record(message: dict[str, Any]) -> None:
    """Put a round into the records; see `RecordOrder` and `RoundResult`."""
    worker_session().carry_out(RecordOrder, message, lambda order: record_scored(order).to_message())


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


@app.task(name="tasks.offer_best", ignore_result=True)
def offer_best(message: dict[str, Any]) -> None:
    """Let the sites have the best weights; the answer is {weights, round}."""
    worker_session().carry_out(OfferOrder, message, offer)


def offer(order: OfferOrder) -> dict[str, Any]:
    """Put the best weights into the store."""
    context = RunContext.of(order)
    state, weights = best_model(context)
    reference = put_arrays(context.store, context.key("weights", "best"), context.instance.names, weights)
    return {"weights": reference.to_message(), "round": state.best_round or state.round}


@app.task(name="tasks.finish_sites", ignore_result=True)
def finish_sites(message: dict[str, Any]) -> None:
    """Test the best model by the sites' scores; see `FinishSitesOrder`. The answer is {test, notes}."""
    worker_session().carry_out(FinishSitesOrder, message, finish)


def finish(order: FinishSitesOrder) -> dict[str, Any]:
    """Write what `tasks.run_task.finish` writes, as far as the sites let it."""
    context = RunContext.of(order)
    state, weights = best_model(context)
    found = {
        split: read_site_scores(context, order.round, split, order.clients, order.sites, messages)
        for split, messages in order.scores.items()
    }
    arrays, test = site_test(context, weights, order.round, found)
    write_results(context, state, weights, test, arrays)
    context.store.delete([context.key("weights", "best")])
    row = test.row
    notes = [reason for scores in found.values() for reason in scores.left_out]
    if "test" not in found:
        notes.append(f"tested on the images of TEST_DIR={context.config.TEST_DIR}, not on the sites'")
    if row["threshold"] is not None and not found["val"].are_shared:
        notes.append(f"the threshold is {row['threshold']:g}: not all sites give scores to choose one by")
    if row["roc_auc_over"] == MEAN:
        notes.append(f"the test's AUC is the {MEAN}: not all of them give their scores")
    return {"test": row, "notes": notes}

"""The final test of a run whose images stay at the sites."""

from dataclasses import replace
from typing import Any

import numpy as np

from celery_app import app, worker_session
from helpers.evaluation.tallies import BINNED, MEAN, POOLED
from helpers.evaluation.tested import metrics_of_test
from helpers.federated.quorum import QuorumError
from helpers.federated.replies import TOO_LARGE
from helpers.federated.sites.messages import FinishSitesOrder, OfferOrder, ScoreReply
from helpers.federated.weights import Weights
from helpers.model_instance_helper import initial_weights
from helpers.run_records.tables import (
    SITE_COLUMNS,
    SITE_MODELS,
    TEST_CLASS_COLUMNS,
    TEST_COLUMNS,
    class_rows,
    write_table,
)
from helpers.weight_store.store import put_arrays
from tasks.final_test import FinalTest, final_test, score_splits
from tasks.run_context import RunContext
from tasks.run_task import best_model, write_results
from tasks.sites.site_scores import SiteScores, read_site_scores


@app.task(name="tasks.offer_best", ignore_result=True)
def offer_best(message: dict[str, Any]) -> None:
    """Offer the best weights to the sites; the answer is {weights, round, initial}."""
    worker_session().run_order(OfferOrder, message, offer)


def offer(order: OfferOrder) -> dict[str, Any]:
    """Put the best weights into the weight store and, with LOCAL_MODELS, the initial ones."""
    context = RunContext.of(order)
    state, weights = best_model(context)

    def put(name: str, weights: Weights) -> dict[str, Any]:
        key = context.key("weights", name)
        return put_arrays(context.store, key, context.instance.names, weights).to_message()

    initial = put("initial", initial_weights(context.config)) if context.config.LOCAL_MODELS else None
    return {"weights": put("best", weights), "round": state.best_round or state.round, "initial": initial}


@app.task(name="tasks.finish_sites", ignore_result=True)
def finish_sites(message: dict[str, Any]) -> None:
    """Test the best model by the sites' scores; see `FinishSitesOrder`. Answers {test, results, notes}."""
    worker_session().run_order(FinishSitesOrder, message, finish)


def finish(order: FinishSitesOrder) -> dict[str, Any]:
    """Write the results that `tasks.run_task.finish` writes, as far as the sites share what they need."""
    context = RunContext.of(order)
    state, weights = best_model(context)
    scores = {
        split: read_site_scores(context, order.round, split, order.clients, order.sites, messages)
        for split, messages in order.scores.items()
    }
    arrays, test = site_test(context, weights, order, scores)
    rows, refused = rows_of_sites(order)
    write_table(context.folders.metrics / "sites.csv", SITE_COLUMNS, rows)
    write_results(context, state, weights, test, arrays)
    context.store.delete([context.key("weights", name) for name in ("best", "initial")])
    row = test.row
    notes = [reason for of_split in scores.values() for reason in of_split.left_out] + refused
    notes += comparisons(rows) if context.config.LOCAL_MODELS else []
    if "test" not in scores:
        notes.append(f"the test used the images of TEST_DIR={context.config.TEST_DIR}, not the sites'")
    if row["threshold"] is not None and scores["val"].roc_auc_over == MEAN:
        notes.append(f"the threshold is {row['threshold']:g}: not all sites share counts to choose one by")
    if row["roc_auc_over"] == MEAN:
        notes.append(f"the test's AUC is the {MEAN}, because not all of them share counts by score")
    if row["roc_auc_over"] in (MEAN, BINNED):
        notes.append("the test has no intervals: they need the score of each image (SHARE_SCORES=pairs)")
    return {"test": row, "results": context.folders.results_here(), "notes": notes}


def rows_of_sites(order: FinishSitesOrder) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the rows of sites.csv, and a sentence for each site whose rows cannot be read."""
    rows: list[dict[str, Any]] = []
    refused = []
    for client, message in zip(order.clients, order.scores.get("test", ()), strict=False):
        reply, site = ScoreReply.read(order.round, client, message), order.sites[client]["name"]
        try:
            if len(of_site := reply.models or []) > len(SITE_MODELS):
                raise ValueError(f"{len(of_site)} rows")
            rows += [{**_read_row(row), "site": site} for row in of_site]
        except (TypeError, ValueError, AttributeError) as error:
            refused.append(f"site {site}: its tests of models are left out: {str(error)[:200]}")
    return rows, refused


def comparisons(rows: list[dict[str, Any]]) -> list[str]:
    """Return for each site a sentence with the AUCs of its models, from rows of sites.csv."""
    aucs: dict[str, list[str]] = {}
    for row in rows:
        auc = "undefined" if row["roc_auc"] is None else f"{row['roc_auc']:.3f}"
        aucs.setdefault(row["site"], []).append(f"{auc} {row['model']}")
    return [f"site {site}: test AUC {', '.join(of_site)}" for site, of_site in aucs.items()]


def _read_row(row: Any) -> dict[str, Any]:
    """Return a row of a site without what is not in sites.csv; ValueError, … if it is of another form."""
    if row.get("model") not in SITE_MODELS:
        raise ValueError(f"{row.get('model')!r} is not a model")
    numbers = {name: row.get(name) for name in SITE_COLUMNS[2:]}
    wrong = {name: value for name, value in numbers.items() if not _is_number(value)}
    if wrong:
        raise ValueError(f"{wrong} are not numbers")
    return {**numbers, "model": row["model"]}


def _is_number(value: Any) -> bool:
    return value is None or (type(value) in (int, float) and abs(value) < TOO_LARGE)  # also False for NaN


def site_test(
    context: RunContext, weights: Weights, order: FinishSitesOrder, scores: dict[str, SiteScores]
) -> tuple[dict[str, np.ndarray], FinalTest]:
    """Return the content of scores.npz, as far as scores are shared, and the test by the sites' scores.

    Args:
        context: of the run.
        weights: of the best model.
        order: with the best round, and the threshold by the sites' counts.
        scores: of `val` and, unless the run has a test set of its own, `test`.

    Raises:
        QuorumError: no site tested the model.
    """
    test, round_number = scores.get("test"), order.round
    threshold = order.threshold if len(context.config.class_names) == 2 else None
    arrays = scores["val"].named("val") if scores["val"].are_shared else {}
    if test is None:
        arrays |= score_splits(context, weights, ("test",))
        return arrays, _over(POOLED, final_test(context, arrays, round_number, threshold))
    if not test.tallies:
        raise QuorumError(f"no site tested the model ({'; '.join(test.left_out)}); resume to ask them again")
    if test.are_shared:
        arrays |= test.named("test")
        return arrays, _over(POOLED, final_test(context, arrays, round_number))
    summed = test.evaluation()
    row = dict.fromkeys(TEST_COLUMNS) | {
        "model": "best",
        "round": round_number,
        "threshold": threshold,
        "num_examples": int(summed.confusion.sum()),
        **metrics_of_test(summed),
    }
    classes = [
        dict.fromkeys(TEST_CLASS_COLUMNS) | {"round": round_number, **metrics}
        for metrics in class_rows(summed, context.config.class_names)
    ]
    return arrays, _over(test.roc_auc_over, FinalTest(row, classes, summed.confusion))


def _over(images: str | None, test: FinalTest) -> FinalTest:
    return replace(test, row={**test.row, "roc_auc_over": images})

"""A site's scoring of the global model on its own images."""

from typing import Any

import numpy as np

from celery_app import app, worker_session
from helpers.evaluation.score_bins import rounded
from helpers.evaluation.tallies import tally_of
from helpers.federated.messages import Reference
from helpers.federated.sites.messages import ScoreOrder, ScoreReply
from helpers.local_training.trainer import predict_scores
from helpers.weight_store.store import get_arrays, put_arrays
from preprocessing.feed.input_pipeline import evaluation_batches
from tasks.run_context import RunContext
from tasks.sites.site_scores import ARRAYS


@app.task(name="tasks.score", ignore_result=True)
def score(message: dict[str, Any]) -> None:
    """Score the global weights at a site; see `ScoreOrder` and `ScoreReply`."""
    worker_session().run_order(ScoreOrder, message, lambda order: score_here(order).to_message())


def score_here(order: ScoreOrder) -> ScoreReply:
    """Score this site's images of a split; scores of single images leave it only with SHARE_SCORES=pairs."""
    context = RunContext.of(order)
    data, split = context.data, order.split
    weights = get_arrays(context.store, Reference.from_message(order.weights), context.instance.schema)
    context.instance.model.set_weights(weights)
    batches = evaluation_batches(data.images(split), context.config.EVALUATION_BATCH_SIZE)
    labels, scores = data.labels(split), predict_scores(context.instance, batches)
    reference, share = None, context.config.SHARE_SCORES
    if share == "pairs":
        key = context.key(f"scores-{split}", order.round, order.client, order.attempt)
        numbers = np.unique(data.patients(split), return_inverse=True)[1].astype(np.int32)
        arrays = [labels, rounded(scores), numbers]
        reference = put_arrays(context.store, key, list(ARRAYS), arrays).to_short()
    tally = tally_of(labels, scores, order.threshold, with_bins=share != "none")
    return ScoreReply(
        order.round, order.client, order.attempt, context.worker, "ok",
        tally=tally.to_message(), scores=reference,
    )  # fmt: skip

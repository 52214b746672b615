"""A site's training: on all of its own images; only counts of its validation scores leave it."""

from typing import Any

import numpy as np

from celery_app import app, worker_session
from helpers.evaluation.tallies import tally_of
from helpers.federated.replies import ClientReply
from helpers.federated.sites.messages import SiteTrainOrder
from tasks.client_states import StatefulExchange
from tasks.run_context import RunContext
from tasks.train_task import Rows, Scores, train_on_rows


@app.task(name="tasks.train_site", ignore_result=True)
def train_site(message: dict[str, Any]) -> None:
    """Train a site for a round; see `SiteTrainOrder` and `ClientReply`."""
    worker_session().run_order(SiteTrainOrder, message, lambda order: train_at(order).to_message())


def train_at(order: SiteTrainOrder, stateful: Any = StatefulExchange) -> ClientReply:
    """Train on the site's images; the exchange is for `train_on_rows`."""
    return train_on_rows(order, _all_rows, _count_scores, stateful)


def _all_rows(context: RunContext) -> Rows:
    return np.arange(len(context.data.labels("train")))


def _count_scores(context: RunContext, scores: Scores) -> dict[str, Any]:
    return {"tally": tally_of(context.data.labels("val"), scores).to_message()}

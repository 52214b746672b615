"""The chord's callback where clients are sites: updates are averaged, and the sites evaluate the result."""

from collections.abc import Sequence
from typing import Any

from celery_app import app, worker_session
from helpers.evaluation.metrics import Metrics
from helpers.evaluation.tallies import evaluation_of, read_tally
from helpers.federated.replies import ClientReply, read_replies
from helpers.federated.results import Averaged
from helpers.federated.sites.messages import SiteRoundOrder
from helpers.federated.sites.site import Site
from tasks.aggregate_task import average
from tasks.run_context import RoundClock, RunContext
from tasks.update_intake import UpdateIntake


@app.task(name="tasks.average_sites", ignore_result=True)
def average_sites(replies: Any, message: dict[str, Any]) -> None:
    """Average a round of sites; see `SiteRoundOrder` and `Averaged`."""
    worker_session().run_order(
        SiteRoundOrder, message, lambda order: average_round(order, replies).to_message()
    )


def average_round(order: SiteRoundOrder, replies: Any) -> Averaged:
    """Average one round and store the new global weights; nothing is committed."""
    context, clock = RunContext.of(order), RoundClock(order)
    intake = SiteIntake(context, order, read_replies(order.round, order.clients, replies))
    return average(context, order, intake, clock)[1]


class SiteIntake(UpdateIntake):
    """Opens the replies of sites, whose images and scores are known by their counts only."""

    def __init__(self, context: RunContext, order: SiteRoundOrder, replies: list[ClientReply]) -> None:
        super().__init__(context, order, replies)
        self._sites = [Site.from_message(message) for message in order.sites]

    def num_rows(self) -> Sequence[int]:
        return [sum(site.train) for site in self._sites]

    def own_metrics(self, reply: ClientReply) -> Metrics:
        tally = read_tally(reply.tally, self._sites[reply.client].val)
        return evaluation_of([tally], len(self.context.config.class_names)).metrics

    def site_of(self, client: int) -> str | None:
        return self._sites[client].name

"""The sites' scores of a model, fetched and checked; a site with unusable scores is left out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helpers.evaluation.metrics import Evaluation, checked, evaluate, scores_shape
from helpers.evaluation.tallies import BINNED, MEAN, POOLED, Tally, evaluation_of, have_bins, read_tally
from helpers.federated.messages import MessageError, Reference
from helpers.federated.sites.messages import ScoreReply
from helpers.federated.sites.site import Site
from helpers.federated.weights import ArraySpec, Schema, SchemaError
from helpers.weight_store.store import StoreError, get_arrays
from tasks.run_context import RunContext

ARRAYS = ("labels", "scores", "patients")


@dataclass(frozen=True)
class SiteScores:
    """The sites' scores of a model on one split of their images.

    Attributes:
        num_classes: of the run.
        tallies: counts by site's name, of the sites with usable answers.
        arrays: labels, scores and patients' numbers by site's name, of the sites that share them.
        left_out: why the other sites are missing, a sentence each.
    """

    num_classes: int
    tallies: dict[str, Tally]
    arrays: dict[str, dict[str, NDArray[Any]]]
    left_out: list[str]

    @property
    def are_shared(self) -> bool:
        """Whether every site that answered shares its scores."""
        return bool(self.tallies) and self.arrays.keys() == self.tallies.keys()

    def evaluation(self) -> Evaluation:
        """Return the metrics over all images: of their scores if all sites share them, else of the tallies,
        at the threshold of these.
        """
        if self.are_shared:
            return evaluate(self._joined("labels"), self._joined("scores"))
        return evaluation_of(list(self.tallies.values()), self.num_classes)

    @property
    def roc_auc_over(self) -> str | None:
        """What the AUC of `evaluation` is over; None where no site answered."""
        if self.are_shared or not self.tallies:
            return POOLED if self.tallies else None
        return BINNED if have_bins(list(self.tallies.values())) else MEAN

    def named(self, split: str) -> dict[str, NDArray[Any]]:
        """Return all scores as scores.npz holds them, with images and patients as site and number."""
        own = {name: arrays["patients"] for name, arrays in self.arrays.items()}
        return {
            f"{split}_labels": self._joined("labels"),
            f"{split}_scores": self._joined("scores"),
            f"{split}_files": np.array([f"{name}:{i}" for name, of in own.items() for i in range(len(of))]),
            f"{split}_patients": np.array([f"{name}:{i}" for name, of in own.items() for i in of]),
        }

    def _joined(self, kind: str) -> NDArray[Any]:
        return np.concatenate([arrays[kind] for arrays in self.arrays.values()])


def read_site_scores(
    context: RunContext,
    round_number: int,
    split: str,
    clients: Sequence[int],
    sites: Sequence[Any],
    messages: Sequence[Any],
) -> SiteScores:
    """Return the sites' answers to their ScoreOrders.

    Args:
        context: of the run.
        round_number, split: of the orders.
        clients: ids of the sites that received one.
        sites: Site messages by id.
        messages: ScoreReply messages, one for each of `clients`.

    Raises:
        MessageError: the numbers of messages and sites differ, or a Site message is invalid.
    """
    if len(messages) != len(clients):
        raise MessageError(f"{len(messages)} scores for {len(clients)} sites")
    site_scores = SiteScores(len(context.config.class_names), {}, {}, [])
    for client, message in zip(clients, messages, strict=True):
        reply, site = ScoreReply.read(round_number, client, message), Site.from_message(sites[client])
        key = context.key(f"scores-{split}", round_number, client, reply.attempt, site=site.name)
        error = reply.error
        if reply.status == "ok":
            try:
                arrays = _fetch(context, key, reply, getattr(site, split))
                site_scores.tallies[site.name] = read_tally(reply.tally, getattr(site, split))
                if arrays:
                    site_scores.arrays[site.name] = arrays
                continue
            except (StoreError, SchemaError, ValueError, TypeError) as reason:
                error = f"scores refused: {reason}"
        site_scores.left_out.append(f"site {site.name} is left out of the metrics: {error}")
    return site_scores


def score_schema(num_images: int, num_classes: int) -> Schema:
    """Return the schema of the arrays that a site shares for this many images; patients are arbitrary
    numbers.
    """
    return (
        ArraySpec("labels", "int32", (num_images,)),
        ArraySpec("scores", "float32", scores_shape(num_images, num_classes)),
        ArraySpec("patients", "int32", (num_images,)),
    )


def _fetch(context: RunContext, key: str, reply: ScoreReply, counts: Sequence[int]) -> dict[str, Any]:
    """Return labels, scores and patients' numbers of a site with these counts of images per class.

    Raises:
        StoreError, ValueError: they are missing or do not fit the counts.
    """
    if reply.scores is None:
        return {}
    schema = score_schema(sum(counts), len(counts))
    reference = Reference.from_short(reply.scores, schema)
    if reference.key != key:
        raise StoreError(f"{reference.key}: not the key of this site's scores")
    arrays: dict[str, Any] = dict(zip(ARRAYS, get_arrays(context.store, reference, schema), strict=True))
    checked(arrays["labels"], arrays["scores"])
    if np.bincount(arrays["labels"], minlength=len(counts)).tolist() != list(counts):
        raise ValueError("the labels differ from the site's counts of images per class")
    return arrays

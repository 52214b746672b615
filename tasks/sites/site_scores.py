"""The sites' scores of a model, fetched and checked; a site whose scores cannot be used is left out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helpers.evaluation.metrics import Evaluation, evaluate
from helpers.evaluation.tallies import MEAN, POOLED, Tally, evaluation_of, read_tally
from helpers.evaluation.weighted_metrics import checked, scores_shape
from helpers.federated.messages import MessageError, Reference
from helpers.federated.sites.messages import ScoreReply
from helpers.federated.sites.site import Site
from helpers.federated.weights import ArraySpec, Schema, SchemaError
from helpers.weight_store.store import StoreError, get_arrays
from tasks.run_context import RunContext

ARRAYS = ("labels", "scores", "patients")


@dataclass(frozen=True)
class SiteScores:
    """What the sites said of a model on a split of theirs.

    Attributes:
        num_classes: that the run has.
        tallies: by site's name, of those that answered well.
        arrays: by site's name, labels, scores and patients' numbers of those that gave them.
        left_out: why the others are not there, a sentence each.
    """

    num_classes: int
    tallies: dict[str, Tally]
    arrays: dict[str, dict[str, NDArray[Any]]]
    left_out: list[str]

    @property
    def are_shared(self) -> bool:
        """Whether every site that answered gave its scores."""
        return bool(self.tallies) and self.arrays.keys() == self.tallies.keys()

    def evaluation(self) -> Evaluation:
        """Over all images, at the threshold of the tallies where not all scores are shared, else at 0.5."""
        if self.are_shared:
            return evaluate(self._joined("labels"), self._joined("scores"))
        return evaluation_of(list(self.tallies.values()), self.num_classes)

    @property
    def roc_auc_over(self) -> str | None:
        """Of what `evaluation` gives the AUC; None where no site answered."""
        return (POOLED if self.are_shared else MEAN) if self.tallies else None

    def named(self, split: str) -> dict[str, NDArray[Any]]:
        """All scores as scores.npz holds them; images and patients by site and number, not by name."""
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
    """Read what the sites answered to their ScoreOrders.

    Args:
        context: of the run.
        round_number, split: what was asked.
        clients: ids of the sites that were asked.
        sites: Site messages by id.
        messages: ScoreReply messages, one for each of `clients`.

    Raises:
        MessageError: not one message a site, or a site is none.
    """
    if len(messages) != len(clients):
        raise MessageError(f"{len(messages)} scores for {len(clients)} sites")
    found = SiteScores(len(context.config.class_names), {}, {}, [])
    for client, message in zip(clients, messages, strict=True):
        reply, site = ScoreReply.read(round_number, client, message), Site.from_message(sites[client])
        key = context.key(f"scores-{split}", round_number, client, reply.attempt)
        error = reply.error
        if reply.status == "ok":
            try:
                arrays = _fetch(context, key, reply, getattr(site, split))
                found.tallies[site.name] = read_tally(reply.tally, getattr(site, split))
                if arrays:
                    found.arrays[site.name] = arrays
                continue
            except (StoreError, SchemaError, ValueError, TypeError) as reason:
                error = f"scores refused: {reason}"
        found.left_out.append(f"site {site.name} is left out of the metrics: {error}")
    return found


def score_schema(num_images: int, num_classes: int) -> Schema:
    """Of what a site gives of so many images; patients are numbers without meaning elsewhere."""
    return (
        ArraySpec("labels", "int32", (num_images,)),
        ArraySpec("scores", "float32", scores_shape(num_images, num_classes)),
        ArraySpec("patients", "int32", (num_images,)),
    )


def _fetch(context: RunContext, key: str, reply: ScoreReply, counts: Sequence[int]) -> dict[str, Any]:
    """Labels, scores and patients' numbers of a site that has so many images of the classes.

    Raises:
        StoreError, ValueError: they are not there or cannot be these.
    """
    if reply.scores is None:
        return {}
    schema = score_schema(sum(counts), len(counts))
    reference = Reference.from_short(reply.scores, schema)
    if reference.key != key:
        raise StoreError(f"{reference.key}: not the place of this site's scores")
    arrays: dict[str, Any] = dict(zip(ARRAYS, get_arrays(context.store, reference, schema), strict=True))
    checked(arrays["labels"], arrays["scores"])
    if np.bincount(arrays["labels"], minlength=len(counts)).tolist() != list(counts):
        raise ValueError("labels are not as many of each class as the site has")
    return arrays

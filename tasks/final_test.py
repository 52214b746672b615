"""The best model's scores, its one test, and pictures of its surest cases."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helpers.evaluation.intervals import Interval, bootstrap_intervals
from helpers.evaluation.metrics import Evaluation, evaluate
from helpers.evaluation.tallies import MEAN, POOLED
from helpers.evaluation.threshold_rule import WITHOUT_CHOICE, without_choice
from helpers.evaluation.thresholds import choose_threshold
from helpers.explaining.cases import surest_cases
from helpers.explaining.grad_cam import UnexplainableModelError, grad_cam
from helpers.federated.quorum import QuorumError
from helpers.federated.weights import Weights
from helpers.global_config import Config
from helpers.local_training.trainer import predict_scores
from helpers.run_records.rows import class_rows
from helpers.run_records.tables import TEST_CLASS_COLUMNS, TEST_COLUMNS
from preprocessing.input_pipeline import evaluation_batches
from tasks.run_context import RunContext
from tasks.site_scores import SiteScores

NUM_CASES = 3
"""Of true positives, true negatives, false positives and false negatives each."""


def score_splits(
    context: RunContext, weights: Weights, splits: Sequence[str] = ("val", "test")
) -> dict[str, np.ndarray]:
    """Labels, scores, files and patients of splits of our images, as scores.npz holds them."""
    context.instance.model.set_weights(weights)
    arrays: dict[str, np.ndarray] = {}
    for split in splits:
        batches = evaluation_batches(context.data.images(split), context.config.EVALUATION_BATCH_SIZE)
        arrays[f"{split}_labels"] = context.data.labels(split)
        arrays[f"{split}_scores"] = predict_scores(context.instance, batches)
        arrays[f"{split}_files"] = np.array(context.data.files(split))
        arrays[f"{split}_patients"] = np.array(context.data.patients(split))
    return arrays


@dataclass(frozen=True, eq=False)
class FinalTest:
    """What the test says.

    Attributes:
        row: of test.csv.
        classes: the rows of test_classes.csv; empty where there are two classes.
        confusion: int64 (k, k), number of images by truth and decision.
    """

    row: dict[str, Any]
    classes: list[dict[str, Any]]
    confusion: NDArray[np.int64]


def final_test(context: RunContext, arrays: dict[str, np.ndarray], round_number: int) -> FinalTest:
    """The test by scores: intervals are from a bootstrap over patients.

    Args:
        context: of the run.
        arrays: as scores.npz holds them; the threshold is chosen by validation, where that is among them.
        round_number: after which the model was tested.
    """
    config = context.config
    threshold = _threshold(config, arrays)
    cut = WITHOUT_CHOICE if threshold is None else threshold  # more than two classes make no use of it
    labels, scores, patients = (arrays[f"test_{name}"] for name in ("labels", "scores", "patients"))
    found = evaluate(labels, scores, cut)
    intervals = bootstrap_intervals(labels, scores, patients, cut, config.SEED)
    has_patients = context.own_data is not None and context.own_data.has_patients
    row = {
        "model": "best",
        "round": round_number,
        "threshold": threshold,
        "num_examples": len(labels),
        "num_patients": len(set(patients)) if has_patients else None,
        **_of_test(found),
        **_ends(intervals.overall),
    }
    classes = [
        {"round": round_number, **about, **_ends(own)}
        for about, own in zip(class_rows(found, config.class_names), intervals.by_class, strict=True)
    ]
    return FinalTest(row, classes, found.confusion)


def _threshold(config: Config, arrays: dict[str, np.ndarray]) -> float | None:
    """Of the decision between two classes; None where there are more, which need none."""
    if len(config.class_names) > 2:
        return None
    if "val_scores" not in arrays:
        return without_choice(config.THRESHOLD)
    return choose_threshold(arrays["val_labels"], arrays["val_scores"], config.THRESHOLD)


def _of_test(found: Evaluation) -> dict[str, float | None]:
    """The metrics under their names in test.csv."""
    metrics = dict(found.metrics)
    return {"test_loss": metrics.pop("val_loss"), **metrics}


def _ends(intervals: dict[str, Interval]) -> dict[str, float | None]:
    """Columns `…_low` and `…_high` of the intervals."""
    return {
        f"{name}_{end}": interval[place] if interval else None
        for name, interval in intervals.items()
        for place, end in enumerate(("low", "high"))
    }


def site_test(
    context: RunContext, weights: Weights, round_number: int, found: dict[str, SiteScores]
) -> tuple[dict[str, np.ndarray], FinalTest]:
    """The test by what the sites said: scores.npz, as far as scores are shared, and what the test says.

    Args:
        context: of the run.
        weights: the best model's.
        round_number: after which it was the best.
        found: of `val` and, unless we have a test set of our own, `test`.

    Raises:
        QuorumError: no site tested the model.
    """
    test = found.get("test")
    arrays = found["val"].named("val") if found["val"].are_shared else {}
    if test is None:
        arrays |= score_splits(context, weights, ("test",))
        return arrays, _over(POOLED, final_test(context, arrays, round_number))
    if not test.tallies:
        raise QuorumError(f"no site tested the model ({'; '.join(test.left_out)}); resume to ask them again")
    if test.are_shared:
        arrays |= test.named("test")
        return arrays, _over(POOLED, final_test(context, arrays, round_number))
    summed = test.evaluation()
    row = dict.fromkeys(TEST_COLUMNS) | {
        "model": "best",
        "round": round_number,
        "threshold": _threshold(context.config, {}),
        "num_examples": int(summed.confusion.sum()),
        **_of_test(summed),
    }
    classes = [
        dict.fromkeys(TEST_CLASS_COLUMNS) | {"round": round_number, **about}
        for about in class_rows(summed, context.config.class_names)
    ]
    return arrays, _over(MEAN, FinalTest(row, classes, summed.confusion))


def _over(images: str, test: FinalTest) -> FinalTest:
    return replace(test, row={**test.row, "roc_auc_over": images})


def explained_cases(
    context: RunContext, arrays: dict[str, np.ndarray], threshold: float | None
) -> dict[str, np.ndarray] | None:
    """The surest right and wrong test cases with their Grad-CAM, as cases.npz holds them.

    None where the network has nothing that Grad-CAM can explain.
    """
    labels, scores = arrays["test_labels"], arrays["test_scores"]
    right, wrong = surest_cases(labels, scores, threshold, NUM_CASES)
    chosen = np.concatenate([right, wrong])
    images = np.ascontiguousarray(context.data.images("test")[chosen])
    try:
        heatmaps = grad_cam(context.instance.model, np.divide(images, 255, dtype=np.float32))
    except UnexplainableModelError:
        return None
    return {
        "images": images,
        "heatmaps": heatmaps,
        "labels": labels[chosen],
        "scores": scores[chosen],
        "files": arrays["test_files"][chosen],
        "kinds": np.array(["right"] * len(right) + ["wrong"] * len(wrong)),
    }

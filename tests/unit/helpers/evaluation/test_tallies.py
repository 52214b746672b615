"""Tallies: counts and sums that add up over sites."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.evaluation.metrics import SENSITIVITY, Metrics, evaluate
from helpers.evaluation.tallies import Tally, evaluation_of, read_tally, tally_of, threshold_of
from helpers.evaluation.thresholds import choose_threshold

LABELS = np.array([0, 1, 0, 1, 1, 0, 1])


SCORES = np.array([0.1, 0.9, 0.6, 0.4, 0.7, 0.2, 0.8])


def metrics_of(tallies: list[Tally]) -> Metrics:
    return evaluation_of(tallies, num_classes=2).metrics


def test_counts_and_sums_of_sites_give_the_metrics_of_all_images() -> None:
    tallies = [tally_of(LABELS[:3], SCORES[:3]), tally_of(LABELS[3:], SCORES[3:])]
    summed, pooled = metrics_of(tallies), evaluate(LABELS, SCORES).metrics
    for name in set(pooled) - {"roc_auc", "average_precision", "calibration_error", SENSITIVITY}:
        assert summed[name] == pytest.approx(pooled[name], abs=1e-12), name
    assert summed["roc_auc"] == pytest.approx((3 * 1.0 + 4 * 1.0) / 7)  # each ranks its own well, …
    assert pooled["roc_auc"] == pytest.approx(11 / 12)  # … but 0.4 at one is below 0.6 at the other
    assert summed["average_precision"] is None
    assert summed["calibration_error"] is None


@given(st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), min_size=2, max_size=40), st.integers(1, 39))
def test_it_does_not_matter_how_images_are_spread(images: list, cut: int) -> None:
    labels, scores = (np.array(column) for column in zip(*images, strict=True))
    parts = [part for part in (slice(0, cut), slice(cut, None)) if len(labels[part])]
    summed = metrics_of([tally_of(labels[part], scores[part], 0.3) for part in parts])
    pooled = evaluate(labels, scores, 0.3).metrics
    for name in ("val_loss", "accuracy", "precision", "recall", "f1_score", "specificity", "brier_score"):
        assert summed[name] == pytest.approx(pooled[name], abs=1e-9), name


def test_the_mean_auc_counts_images_and_leaves_out_sites_of_one_class() -> None:
    good = tally_of(np.array([0, 1]), np.array([0.1, 0.9]))  # AUC 1, two images
    bad = tally_of(np.array([0, 0, 1, 1]), np.array([0.9, 0.8, 0.1, 0.2]))  # AUC 0, four images
    alone = tally_of(np.array([1, 1, 1]), np.array([0.5, 0.5, 0.5]))
    assert metrics_of([good, bad, alone])["roc_auc"] == pytest.approx(1 / 3)
    assert metrics_of([alone])["roc_auc"] is None
    assert set(metrics_of([]).values()) == {None}


def test_tallies_of_three_classes_give_the_confusion_and_the_means_of_all_images() -> None:
    generator = np.random.default_rng(0)
    labels, scores = generator.integers(0, 3, 60), generator.dirichlet([1, 1, 1], 60)
    tallies = [tally_of(labels[part], scores[part]) for part in (slice(0, 20), slice(20, None))]
    counts = np.bincount(labels[:20], minlength=3).tolist()
    assert read_tally(tallies[0].to_message(), counts) == tallies[0]
    summed, pooled = evaluation_of(tallies, num_classes=3), evaluate(labels, scores)
    np.testing.assert_array_equal(summed.confusion, pooled.confusion)
    ranking = {"roc_auc", "average_precision", SENSITIVITY}
    for all_of, own in zip(
        [pooled.metrics, *pooled.by_class], [summed.metrics, *summed.by_class], strict=True
    ):
        for name in set(all_of) - ranking - {"calibration_error"}:
            assert own[name] == pytest.approx(all_of[name], abs=1e-12), name
    assert {row[name] for row in summed.by_class for name in ranking} == {None}
    own_aucs = [
        evaluate(labels[part], scores[part]).metrics["roc_auc"] for part in (slice(0, 20), slice(20, None))
    ]
    assert summed.metrics["roc_auc"] == pytest.approx((20 * own_aucs[0] + 40 * own_aucs[1]) / 60)


def counted(*parts: slice) -> list[Tally]:
    return [tally_of(LABELS[part], SCORES[part], with_bins=True) for part in parts]


def test_counts_by_score_give_the_metrics_of_ranking_too() -> None:
    pooled = evaluate(LABELS, SCORES).metrics
    summed = metrics_of(counted(slice(0, 3), slice(3, None)))
    for name in ("roc_auc", "average_precision", SENSITIVITY):
        assert summed[name] == pytest.approx(pooled[name]), name
    assert summed["calibration_error"] is None
    without = tally_of(LABELS[3:], SCORES[3:])
    assert metrics_of([*counted(slice(0, 3)), without])["average_precision"] is None


@pytest.mark.parametrize("rule", ["youden", "sensitivity>=0.90", "specificity>=0.90", "0.3"])
def test_a_threshold_by_counts_decides_as_one_by_scores(rule: str) -> None:
    threshold = threshold_of(counted(slice(0, 3), slice(3, None)), rule)
    exact = choose_threshold(LABELS, SCORES, rule)
    assert ((threshold <= SCORES) == (exact <= SCORES)).all()
    assert threshold == pytest.approx(exact, abs=0.01)


def test_without_counts_the_threshold_is_fixed() -> None:
    without = tally_of(LABELS[3:], SCORES[3:])
    assert threshold_of([*counted(slice(0, 3)), without], "youden") == 0.5
    assert threshold_of([without], "0.3") == 0.3
    assert threshold_of([], "youden") == 0.5


GOOD = tally_of(LABELS, SCORES).to_message()


def test_a_good_tally_is_read_as_it_is() -> None:
    assert read_tally(GOOD, [3, 4]).to_message() == GOOD
    with_bins = tally_of(LABELS, SCORES, with_bins=True).to_message()
    assert read_tally(with_bins, [3, 4]).to_message() == with_bins
    with pytest.raises(ValueError, match="bins of the tally do not fit"):
        read_tally(with_bins | {"bins": tally_of(1 - LABELS, SCORES, with_bins=True).bins}, [3, 4])


@pytest.mark.parametrize(
    "change",
    [*({"confusion": rows} for rows in (
        [[3, 1], [1, 3]], [[4, -1], [1, 3]], [[2, 1], [1, 3.0]], [[2, True], [1, 3]], [[2, 1], [4]],
        [[3], [4]], [[10**400, 1], [1, 3]], [[2, 1, 0], [1, 3, 0], [0, 0, 0]], [3, 4], None,
     )),
     {"loss": float("nan")}, {"loss": -1.0}, {"loss": 1e9}, {"squares": "1"},
     {"roc_auc": None}, {"roc_auc": 1.5}, {"roc_auc": "1"}, {"more": 1}],
)  # fmt: skip
def test_a_tally_that_cannot_be_is_refused(change: dict) -> None:
    with pytest.raises(ValueError, match="tally"):
        read_tally(GOOD | change, [3, 4])


@pytest.mark.parametrize("data", [None, [], 7, {}, {"confusion": [[2, 1], [1, 3]]}])
def test_what_is_no_tally_is_refused(data) -> None:
    with pytest.raises(ValueError, match="not a tally"):
        read_tally(data, [3, 4])

"""Choice of the threshold: each rule holds on the scores it was applied to."""

import numpy as np
import pytest

from helpers.evaluation.metrics import evaluate
from helpers.evaluation.threshold_rule import Rule, parse_rule
from helpers.evaluation.thresholds import choose_threshold
from helpers.global_config import Config
from helpers.settings.errors import ConfigError

LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 1])
SCORES = np.array([0.1, 0.2, 0.3, 0.6, 0.2, 0.5, 0.7, 0.8])


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("youden", Rule("youden")),
        (" 0.3 ", Rule("fixed", 0.3)),
        ("sensitivity>=0.90", Rule("sensitivity", 0.9)),
        ("specificity >= .8", Rule("specificity", 0.8)),
    ],
)
def test_reads(text: str, rule: Rule) -> None:
    assert parse_rule(text) == rule
    assert parse_rule(Config.load(THRESHOLD=text).THRESHOLD) == rule  # the setting has the same grammar


@pytest.mark.parametrize(
    "text", ["", "0", "1", "1.5", "nan", "sensitivity", "sensitivity>0.9", "recall>=0.9", "specificity>=90"]
)
def test_refuses_and_lists_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match=r"youden, sensitivity>=0\.90, specificity>=0\.90") as caught:
        parse_rule(text)
    assert repr(text) in str(caught.value)
    with pytest.raises(ConfigError) as refused:
        Config.load(THRESHOLD=text)
    assert str(refused.value) == f"THRESHOLD: {caught.value}"


@pytest.mark.parametrize(
    ("rule", "threshold"),
    [
        ("0.4", 0.4),
        ("youden", 0.5),  # sensitivity 3/4, specificity 3/4
        ("sensitivity>=0.5", 0.7),
        ("sensitivity>=0.75", 0.5),
        ("sensitivity>=0.9", 0.2),
        ("specificity>=0.75", 0.5),
        ("specificity>=0.9", 0.7),
    ],
)
def test_by_hand(rule: str, threshold: float) -> None:
    assert choose_threshold(LABELS, SCORES, rule) == threshold


@pytest.mark.parametrize("seed", range(20))
def test_the_rule_holds_and_no_score_serves_better(seed: int) -> None:
    generator = np.random.default_rng(seed)
    labels = np.append(generator.integers(0, 2, 40), [0, 1])
    scores = generator.random(42).astype(np.float32).round(1)
    at = {float(score): evaluate(labels, scores, float(score)).metrics for score in scores}
    youden = {score: metrics["recall"] + metrics["specificity"] for score, metrics in at.items()}
    best = max(youden.values())
    lowest = min(score for score, value in youden.items() if value == pytest.approx(best, rel=1e-12))
    assert choose_threshold(labels, scores, "youden") == lowest
    sensitive = [score for score, metrics in at.items() if metrics["recall"] >= 0.8]
    assert choose_threshold(labels, scores, "sensitivity>=0.8") == max(sensitive)
    threshold = choose_threshold(labels, scores, "specificity>=0.8")
    assert evaluate(labels, scores, threshold).metrics["specificity"] >= 0.8
    assert threshold == min(
        (score for score, metrics in at.items() if metrics["specificity"] >= 0.8), default=threshold
    )


def test_of_equally_good_thresholds_youden_takes_the_lowest() -> None:
    assert choose_threshold(np.array([1, 0, 1, 0]), np.array([0.8, 0.6, 0.4, 0.2]), "youden") == 0.4


def test_a_specificity_that_no_score_reaches_takes_a_threshold_above_all() -> None:
    scores = np.array([0.9, 0.4, 0.9], np.float32)
    threshold = choose_threshold(np.array([0, 1, 1]), scores, "specificity>=0.9")
    assert not (scores >= threshold).any()
    assert threshold == pytest.approx(0.9, abs=1e-6)


@pytest.mark.parametrize("rule", ["youden", "sensitivity>=0.9", "specificity>=0.9"])
@pytest.mark.parametrize("label", [0, 1])
def test_one_class_gives_one_half(rule: str, label: int) -> None:
    assert choose_threshold(np.full(3, label), np.array([0.1, 0.2, 0.9]), rule) == 0.5

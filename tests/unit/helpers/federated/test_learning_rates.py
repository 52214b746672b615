"""Schedules by hand, and what holds for all of them."""

from typing import get_args

import pytest

from helpers.federated.learning_rates import Schedule, rate_factor
from helpers.global_config import Config


def factors(schedule: Schedule, rounds: int, **options: float) -> list[float]:
    return [rate_factor(schedule, number, rounds, **options) for number in range(1, rounds + 1)]


@pytest.mark.parametrize(
    ("schedule", "options", "expected"),
    [
        ("constant", {}, [1, 1, 1, 1]),
        ("constant", {"warmup_rounds": 3}, [1 / 4, 2 / 4, 3 / 4, 1]),
        ("cosine", {}, [1, (2 + 2**0.5) / 4, 1 / 2, (2 - 2**0.5) / 4]),
        ("cosine", {"warmup_rounds": 2}, [1 / 3, 2 / 3, 1, 1 / 2]),
        ("step", {"step_rounds": 2, "step_factor": 0.5}, [1, 1, 0.5, 0.5]),
        ("step", {"step_rounds": 1, "step_factor": 0.5, "warmup_rounds": 1}, [0.5, 1, 0.5, 0.25]),
    ],
)
def test_schedules_by_hand(schedule: Schedule, options: dict[str, float], expected: list[float]) -> None:
    assert factors(schedule, 4, **options) == pytest.approx(expected)


@pytest.mark.parametrize("schedule", get_args(Schedule))
@pytest.mark.parametrize("warmup_rounds", [0, 1, 7])
def test_a_rate_is_positive_grows_in_the_warm_up_and_never_after(
    schedule: Schedule, warmup_rounds: int
) -> None:
    rates = factors(schedule, 30, warmup_rounds=warmup_rounds)
    assert rates[warmup_rounds] == max(rates) == 1
    assert min(rates) > 0
    assert rates[: warmup_rounds + 1] == sorted(rates[: warmup_rounds + 1])
    assert rates[warmup_rounds:] == sorted(rates[warmup_rounds:], reverse=True)


def test_more_rounds_change_the_rates_of_a_cosine_only() -> None:
    for schedule, is_same in (("constant", True), ("step", True), ("cosine", False)):
        longer = factors(schedule, 40, warmup_rounds=2)[:20]
        assert (longer == factors(schedule, 20, warmup_rounds=2)) is is_same


def test_the_rate_of_a_run() -> None:
    plain = Config(BASE_LR=0.3, num_workers=2, LR_SCALING="linear")
    assert plain.learning_rate_in(1) == plain.learning_rate_in(10) == 0.6
    cosine = Config(BASE_LR=0.3, LR_SCHEDULE="cosine", EPOCHS=4, LR_WARMUP_ROUNDS=2)
    assert [cosine.learning_rate_in(number) for number in (1, 3, 4)] == pytest.approx([0.1, 0.3, 0.15])
    step = Config(BASE_LR=0.3, LR_SCHEDULE="step", LR_STEP_ROUNDS=2, LR_STEP_FACTOR=0.5)
    assert [step.learning_rate_in(number) for number in (2, 3)] == pytest.approx([0.3, 0.15])

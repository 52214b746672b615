"""The accountant: published values, laws, and the noise that a budget needs."""

import builtins
import math

import pytest

from helpers.privacy import accountant
from helpers.privacy.accountant import epsilon, noise_multiplier
from helpers.settings.errors import ConfigError
from studies.known_answers import PUBLISHED_EPSILON, by_mironov


@pytest.mark.parametrize("case", PUBLISHED_EPSILON.values(), ids=PUBLISHED_EPSILON.keys())
def test_published_values(case: tuple[float, float, int, float]) -> None:
    *mechanism, published = case
    assert by_mironov(*mechanism, 1e-5) == pytest.approx(published, abs=0.005)
    ours = epsilon(*mechanism, 1e-5)  # by a later, tighter conversion
    assert 0.8 * published < ours < published


def test_a_gaussian_step_on_all_units_is_bounded_by_its_exact_epsilon() -> None:
    """Balle and Wang 2018, theorem 8: δ of one Gaussian step with ε; the accountant's ε is an upper bound."""
    sigma = 2.0
    ours = epsilon(sigma, 1.0, 1, 1e-5)

    def phi(x: float) -> float:
        return math.erfc(-x / math.sqrt(2)) / 2

    def delta(eps: float) -> float:
        a, b = 1 / (2 * sigma), eps * sigma
        return phi(a - b) - math.exp(eps) * phi(-a - b)

    assert delta(ours) < 1e-5 < delta(0.9 * ours)


def test_epsilon_grows_with_steps_and_rate_and_falls_with_noise() -> None:
    base = epsilon(1.0, 0.05, 100, 1e-5)
    assert epsilon(1.0, 0.05, 0, 1e-5) == 0
    assert base < epsilon(1.0, 0.05, 200, 1e-5)
    assert base < epsilon(1.0, 0.1, 100, 1e-5)
    assert base > epsilon(1.5, 0.05, 100, 1e-5)


@pytest.mark.parametrize("target", [0.5, 1.0, 3.0, 8.0])
def test_the_solved_noise_meets_the_budget_and_hardly_less(target: float) -> None:
    noise = noise_multiplier(target, 0.05, 480, 1e-5)
    assert 0.98 * target < epsilon(noise, 0.05, 480, 1e-5) <= target


def test_the_library_does_not_warn(caplog: pytest.LogCaptureFixture) -> None:
    for rate in (0.01, 0.08, 0.3, 0.9, 1.0):
        for noise in (0.5, 0.8, 1.0, 1.3, 3.0):
            epsilon(noise, rate, 200, 1e-5)
    assert caplog.records == []


def test_a_budget_that_no_noise_meets_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^DP_TARGET_EPSILON: received 1e-06: no noise achieves it"):
        noise_multiplier(1e-6, 0.5, 1000, 1e-9)


def test_a_missing_library_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: object, **options: object) -> object:
        if name.startswith("dp_accounting"):
            raise ImportError(f"No module named {name!r}")
        return real(name, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"setup privacy` installs requirements-privacy\.txt"):
        accountant._library()

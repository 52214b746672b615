"""Privacy accountant: the (ε, δ) of noisy steps on random samples.

It adds up Rényi differential privacy (Mironov 2017) with the library dp-accounting.
"""

import functools
from collections.abc import Sequence
from typing import Any

from helpers.settings.errors import ConfigError, how_to_install

ORDERS = (*(tenths / 10 for tenths in range(20, 110)), *range(11, 65), 128, 256, 512, 1024)
"""Orders of the Rényi divergences. Each gives an upper bound. Lower ones would be better only for an ε above
15, and do not always converge."""
MOST_NOISE = 1e4
"""Largest noise multiplier that is tried; more leaves nothing of a gradient."""
ROUNDING = 1 + 1e-6
"""Factor by which a budget may be exceeded: the noise for it is solved in floating-point numbers."""


@functools.lru_cache(maxsize=4096)
def epsilon(noise_multiplier: float, sampling_rate: float, num_steps: int, delta: float) -> float:
    """Return ε after a number of steps; 0 before the first.

    A step samples every unit (an image, patient or client) with the same probability, on its own (Poisson
    sampling), limits what one unit adds to a norm, and adds Gaussian noise to the sum. Data sets that differ
    by one unit then give any set of results with probabilities that differ by a factor of e^ε at most, apart
    from a probability δ.

    Args:
        noise_multiplier: standard deviation of the noise, divided by the norm; > 0.
        sampling_rate: the probability, in (0, 1].
        num_steps: of the same kind.
        delta: in (0, 1).

    Raises:
        ConfigError: dp-accounting is not installed.
    """
    return total_epsilon(((noise_multiplier, sampling_rate, num_steps),), delta) if num_steps else 0.0


def total_epsilon(steps: Sequence[tuple[float, float, int]], delta: float) -> float:
    """Return ε of steps of several kinds.

    Args:
        steps: noise multiplier, sampling rate and number of the steps of each kind, as for `epsilon`.
        delta: in (0, 1).

    Raises:
        ConfigError: dp-accounting is not installed.
    """
    accountant = _library().rdp.RdpAccountant(ORDERS)
    for kind in steps:
        accountant.compose(_event(*kind))
    return float(accountant.get_epsilon(delta))


@functools.lru_cache(maxsize=4096)
def noise_multiplier(target_epsilon: float, sampling_rate: float, num_steps: int, delta: float) -> float:
    """Return the least noise multiplier, to four decimals, with at most `target_epsilon` after the steps.

    Args:
        target_epsilon: > 0.
        sampling_rate, num_steps, delta: as for `epsilon`.

    Raises:
        ConfigError: no noise suffices, or dp-accounting is not installed.
    """
    library = _library()
    if epsilon(MOST_NOISE, sampling_rate, num_steps, delta) > target_epsilon:
        raise ConfigError(
            f"DP_TARGET_EPSILON: received {target_epsilon:g}: no noise achieves it in {num_steps} steps with "
            f"DP_DELTA={delta:g}; raise one of them, or train for fewer rounds"
        )
    return float(
        library.calibrate_dp_mechanism(
            lambda: library.rdp.RdpAccountant(ORDERS),
            lambda noise: _event(noise, sampling_rate, num_steps),
            target_epsilon,
            delta,
            library.LowerEndpointAndGuess(0.01, 1.0),
            tol=1e-4,
        )
    )


def exceeds(budget: float, epsilon: float) -> bool:
    """Return whether ε exceeds a budget; 0 is none."""
    return 0 < budget * ROUNDING < epsilon


def _event(noise_multiplier: float, sampling_rate: float, num_steps: int) -> Any:
    library = _library()
    step = library.GaussianDpEvent(noise_multiplier)
    return library.SelfComposedDpEvent(library.PoissonSampledDpEvent(sampling_rate, step), num_steps)


def _library() -> Any:
    """Return dp_accounting, which only private trainings need.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import dp_accounting
        import dp_accounting.rdp
    except ImportError as error:
        raise ConfigError(
            f"DP: the privacy accountant is missing ({error}); {how_to_install('privacy')}"
        ) from None
    return dp_accounting

"""The mechanism that the settings of a run mean."""

import pytest

from helpers.global_config import Config
from helpers.privacy import accountant
from helpers.privacy.mechanism import mechanism_of
from helpers.settings.errors import ConfigError


def settings(**values: object) -> dict[str, object]:
    kind = {"DP": "example", "ARCHITECTURE": "seed_cnn_groupnorm", "MAX_UPDATE_RATIO": 0, "NUM_CLIENTS": 100}
    return dict(Config.load(**kind | values))


def test_a_client_samples_its_images_at_the_rate_of_a_batch() -> None:
    mechanism = mechanism_of(settings(DP_NOISE_MULTIPLIER=1.1, TRAIN_BATCH_SIZE=16, LOCAL_EPOCHS=2), 250)
    assert (mechanism.noise_multiplier, mechanism.sampling_rate, mechanism.num_steps) == (1.1, 16 / 250, 32)
    assert mechanism.epsilon(3) == accountant.epsilon(1.1, 16 / 250, 96, 1e-5)
    assert mechanism_of(settings(DP_NOISE_MULTIPLIER=1.1, TRAIN_BATCH_SIZE=16), 5).sampling_rate == 1


def test_a_round_samples_clients_at_their_fraction() -> None:
    mechanism = mechanism_of(settings(DP="client", DP_NOISE_MULTIPLIER=1.1, CLIENT_FRACTION=0.5))
    assert (mechanism.sampling_rate, mechanism.num_steps) == (0.5, 1)


@pytest.mark.parametrize("values", [{}, {"DP": "client"}, {"DP_DELTA": 1e-6, "EPOCHS": 3}])
def test_solved_noise_spends_the_budget_in_the_planned_rounds(values: dict[str, object]) -> None:
    of_run = settings(DP_TARGET_EPSILON=4, TRAIN_BATCH_SIZE=16, **values)
    mechanism = mechanism_of(of_run, 300)
    assert 3.9 < mechanism.epsilon(int(str(of_run["EPOCHS"]))) <= 4


def test_smaller_clients_need_more_noise() -> None:
    of_run = settings(DP_TARGET_EPSILON=4, TRAIN_BATCH_SIZE=16)
    assert mechanism_of(of_run, 60).noise_multiplier > mechanism_of(of_run, 600).noise_multiplier


def test_a_budget_below_the_first_round_is_refused_with_the_remedy() -> None:
    of_run = settings(DP_TARGET_EPSILON=1, DP_NOISE_MULTIPLIER=0.5, TRAIN_BATCH_SIZE=16)
    with pytest.raises(
        ConfigError, match=r"the first round needs .*; raise DP_NOISE_MULTIPLIER, or leave it"
    ):
        mechanism_of(of_run, 100)

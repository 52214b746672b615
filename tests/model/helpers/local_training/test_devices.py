"""Which GPUs TensorFlow is told to use; asked of made-up ones."""

import pytest
import tensorflow as tf

from helpers.global_config import ConfigError
from helpers.local_training.devices import choose_gpu

FOUND = ["gpu a", "gpu b"]


@pytest.fixture
def told(monkeypatch):
    """What TensorFlow is told: visible devices, and those whose memory may grow."""
    told: list = []
    config = tf.config
    monkeypatch.setattr(config, "list_physical_devices", lambda kind: FOUND if kind == "GPU" else ["cpu"])
    monkeypatch.setattr(config, "set_visible_devices", lambda devices, kind: told.append((kind, devices)))
    monkeypatch.setattr(config.experimental, "set_memory_growth", lambda *pair: told.append(pair))
    return told


@pytest.mark.parametrize(("gpu", "chosen"), [("0", FOUND[:1]), ("1", FOUND[1:]), ("none", []), ("", FOUND)])
def test_a_worker_sees_its_own_and_takes_memory_as_it_needs_it(told, gpu, chosen) -> None:
    choose_gpu.__wrapped__(gpu)
    assert told == [("GPU", chosen), *((device, True) for device in chosen)]


def test_one_that_is_not_there_is_refused(told) -> None:
    with pytest.raises(ConfigError, match=r"^GPU: received 2: TensorFlow sees 2 GPUs, the first is 0"):
        choose_gpu.__wrapped__("2")
    assert not told


def test_without_any_nothing_is_said(told, monkeypatch) -> None:
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    for gpu in ("", "none"):
        choose_gpu.__wrapped__(gpu)
    assert not told

"""The GPU that a worker uses, tested with made-up ones."""

import pytest
import tensorflow as tf

from helpers.local_training.devices import choose_gpu
from helpers.settings.errors import ConfigError

GPUS = ["gpu a", "gpu b"]


@pytest.fixture
def calls(monkeypatch):
    """The calls to TensorFlow: visible devices, and those whose memory may grow."""
    calls: list = []
    config = tf.config
    monkeypatch.setattr(config, "list_physical_devices", lambda kind: GPUS if kind == "GPU" else ["cpu"])
    monkeypatch.setattr(config, "set_visible_devices", lambda devices, kind: calls.append((kind, devices)))
    monkeypatch.setattr(config.experimental, "set_memory_growth", lambda *pair: calls.append(pair))
    return calls


@pytest.mark.parametrize(("gpu", "chosen"), [("0", GPUS[:1]), ("1", GPUS[1:]), ("none", []), ("", GPUS)])
def test_a_worker_sees_its_own_and_takes_memory_as_it_needs_it(calls, gpu, chosen) -> None:
    choose_gpu.__wrapped__(gpu)
    assert calls == [("GPU", chosen), *((device, True) for device in chosen)]


def test_a_missing_gpu_is_refused(calls) -> None:
    with pytest.raises(ConfigError, match=r"^GPU: received 2: TensorFlow sees 2 GPUs, numbered from 0"):
        choose_gpu.__wrapped__("2")
    assert not calls


def test_nothing_is_set_without_gpus(calls, monkeypatch) -> None:
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    for gpu in ("", "none"):
        choose_gpu.__wrapped__(gpu)
    assert not calls

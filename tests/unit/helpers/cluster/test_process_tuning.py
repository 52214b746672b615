"""Settings made before TensorFlow is loaded."""

import os

import pytest

from helpers.cluster.process_tuning import tune_process


@pytest.mark.parametrize(
    ("name", "default", "other"), [("TF_ENABLE_ONEDNN_OPTS", "1", "0"), ("TF_CPP_MIN_LOG_LEVEL", "2", "0")]
)
def test_variables_have_a_default_that_the_user_can_change(
    monkeypatch: pytest.MonkeyPatch, name: str, default: str, other: str
) -> None:
    monkeypatch.setattr("helpers.cluster.process_tuning.keep_freed_memory", lambda: True)
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "restored at the end")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "restored at the end")
    monkeypatch.setenv(name, other)
    tune_process()
    assert os.environ[name] == other
    monkeypatch.delenv(name)
    tune_process()
    assert os.environ[name] == default

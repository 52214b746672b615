"""What a training process is told before TensorFlow is loaded."""

import os

import pytest

from helpers.cluster.process_tuning import tune_process

NAME = "TF_ENABLE_ONEDNN_OPTS"


@pytest.mark.parametrize(("given", "then"), [(None, "1"), ("0", "0")])
def test_onednn_is_used_unless_it_is_forbidden(
    monkeypatch: pytest.MonkeyPatch, given: str | None, then: str
) -> None:
    monkeypatch.setenv(NAME, "restored at the end")
    if given is None:
        monkeypatch.delenv(NAME)
    else:
        monkeypatch.setenv(NAME, given)
    monkeypatch.setattr("helpers.cluster.process_tuning.keep_freed_memory", lambda: True)
    tune_process()
    assert os.environ[NAME] == then

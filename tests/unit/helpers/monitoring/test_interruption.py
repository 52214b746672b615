"""A run ends after its round if Ctrl-C was pressed, or if another process asked."""

import os
import signal

import pytest

from helpers.monitoring.interruption import Interruption


def test_a_run_goes_on_until_another_process_asks() -> None:
    notices: list[str] = []
    asked = [False, True]
    interruption = Interruption(notices.append, lambda: asked.pop(0))
    assert not interruption.is_asked_to_stop()
    assert notices == []
    assert interruption.is_asked_to_stop()
    assert notices == ["stopping after this round, as `run.py stop` asked"]


def test_ctrl_c_needs_no_answer_of_redis() -> None:
    notices: list[str] = []
    interruption = Interruption(notices.append, pytest.fail)
    with interruption.finishing_the_round():
        os.kill(os.getpid(), signal.SIGINT)
    assert interruption.is_asked_to_stop()
    assert len(notices) == 1
    with pytest.raises(KeyboardInterrupt), interruption.finishing_the_round():
        os.kill(os.getpid(), signal.SIGINT)

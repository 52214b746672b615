"""Times at which the report is written: at the start, between rounds and at the end."""

import threading
import time
from collections.abc import Callable

import pytest

from helpers.federated.cohort import Cohort
from helpers.federated.messages import Reference, States
from helpers.federated.results import RoundResult, RunState
from helpers.federated.rounds import run_rounds
from helpers.monitoring.report_observer import ReportObserver

STATE = RunState("r", 0, "w", None, None, None)
PATIENCE_S = 20


class Pen:
    """Counts reports, and blocks each until released.

    Attributes:
        written: for every report begun, whether the run was continuing.
    """

    def __init__(self, *, is_free: bool = True) -> None:
        self.written: list[bool] = []
        self.begun = threading.Semaphore(0)
        self.may_go_on = threading.Event()
        if is_free:
            self.may_go_on.set()

    def __call__(self, is_running: bool) -> None:
        self.written.append(is_running)
        self.begun.release()
        assert self.may_go_on.wait(PATIENCE_S)

    def wait(self) -> None:
        """Wait until one more report was begun."""
        assert self.begun.acquire(timeout=PATIENCE_S), "no report was begun"


class Executor:
    """Rounds without work. `before_round` is called in each, before any report of that round."""

    def __init__(self, before_round: Callable[[int], None]) -> None:
        self._before_round = before_round

    def run_round(self, round_number: int, cohort: Cohort, weights: Reference, states: States) -> RoundResult:
        self._before_round(round_number)
        state = RunState("r", round_number, "w", 1, 0.5, "w")
        return RoundResult(state.to_message(), weights.to_message(), {}, [])


def train(observer: ReportObserver, rounds: int, before_round: Callable[[int], None]) -> None:
    observer.run_started("r", STATE, rounds)
    run_rounds(
        STATE, Reference("k", 0, "", ()), {}, rounds=rounds, patience=0,
        choose_cohort=lambda state: Cohort(1, [0]), run_round=Executor(before_round).run_round,
        observer=observer,
    )  # fmt: skip


def test_a_report_is_written_at_the_start_between_the_rounds_and_at_the_end():
    pen = Pen()
    observer = ReportObserver(pen, share=1)
    train(observer, 2, lambda _: pen.wait())  # no round ends before the report of the one before is there
    pen.wait()
    assert pen.written == [True, True, True]
    observer.close()
    assert pen.written == [True, True, True, False]


def test_short_rounds_leave_nine_tenths_of_the_time_to_the_training():
    written = []

    def write(is_running: bool) -> None:
        written.append(is_running)
        time.sleep(0.05)

    observer = ReportObserver(write)
    began = time.monotonic()
    observer.run_started("r", STATE, 99)
    while time.monotonic() - began < 1.2:  # rounds end during reports and pauses
        time.sleep(0.01)
        observer.round_finished(RoundResult({}, {}, {}, []))
    assert 1 <= len(written) <= 1 + (time.monotonic() - began) / 0.5
    observer.close()


def test_a_round_that_ends_during_a_pause_has_its_report_after_it():
    pen = Pen()
    observer = ReportObserver(pen, share=0.1)
    observer.run_started("r", STATE, 2)
    pen.wait()
    observer.round_finished(RoundResult({}, {}, {}, []))
    pen.wait()  # without another round
    observer.close()
    assert pen.written == [True, True, False]


def test_the_end_does_not_wait_for_a_pause():
    observer = ReportObserver(pen := Pen(), share=1e-9)
    observer.run_started("r", STATE, 2)
    pen.wait()
    observer.round_finished(RoundResult({}, {}, {}, []))
    observer.close()
    assert pen.written[-1] is False
    assert len(pen.written) <= 3


def test_rounds_that_outrun_the_report_share_one():
    pen = Pen(is_free=False)
    observer = ReportObserver(pen, share=1)
    train(observer, 9, lambda number: pen.wait() if number == 1 else None)
    assert pen.written == [True]
    pen.may_go_on.set()
    pen.wait()
    observer.close()
    assert pen.written == [True, True, False]


def test_a_session_that_is_stopped_writes_a_last_report_of_what_is_there():
    pen = Pen(is_free=False)
    observer = ReportObserver(pen, share=1)

    def stop_in_the_third_round(number: int) -> None:
        if number == 1:
            pen.wait()
        if number == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(observer, 9, stop_in_the_third_round)
    pen.may_go_on.set()
    observer.close()
    assert pen.written[-1] is False


def test_a_run_that_never_began_gets_no_folder():
    pen = Pen()
    ReportObserver(pen, share=1).close()
    assert pen.written == []


def test_a_failed_report_does_not_end_the_training(caplog):
    def fail(is_running: bool) -> None:
        raise ZeroDivisionError("no picture")

    observer = ReportObserver(fail)
    train(observer, 2, lambda _: None)
    observer.close()
    assert "the report could not be written" in caplog.text
    assert "no picture" in caplog.text

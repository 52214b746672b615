"""A site in this process: its images, its session and its tasks, with a store and a job board in memory."""

import contextlib
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from celery.exceptions import Ignore

import celery_app
from benchmarks.synthetic_data import write_png_folder
from helpers.cluster.versions import ROOT, versions_here
from helpers.federated.sites.messages import ScoreOrder, SiteTrainOrder
from helpers.federated.weights import Weights
from helpers.global_config import Config
from helpers.model_instance_helper import model_for
from helpers.settings.base import config_of_run
from helpers.sites.site_session import SiteSession
from helpers.weight_store.store import MemoryStore, put_arrays
from preprocessing.feed.prepared_data import PreparedData
from tests.integration.conftest import places

SIDE = 32
SETTINGS = {"INPUT_SHAPE": [SIDE, SIDE], "INPUT_DIM": 1, "AUGMENTATION": "none"}


@dataclass
class Board:
    """A job board that expects every order, as whoever delivers one can arrange."""

    answer_: dict[str, Any] | None = None
    failure: str = ""

    def expects(self, job: str, attempt: int) -> bool:
        return True

    def answer(self, job: str, attempt: int, message: dict[str, Any]) -> bool:
        self.answer_ = message
        return True

    def fail(self, job: str, attempt: int, worker: str, error: str, *, is_unable: bool = False) -> None:
        self.failure = error


@dataclass
class VictimSite:
    """A site with 40 training and 24 validation images.

    Attributes:
        data: its images, which only the tests' comparisons may read.
        session: of its worker.
        store: the weight store, which the attacker reads and writes.
        board: the job board after the last order.
        num_orders: orders that were delivered.
        run: of the next order.
        round_number: of the next order; None for one more each time.
    """

    data: PreparedData
    session: SiteSession
    store: MemoryStore = field(default_factory=MemoryStore)
    board: Board = field(default_factory=Board)
    num_orders: int = 0
    run: str = "attack"
    round_number: int | None = None

    def score(self, weights: Weights, **settings: Any) -> dict[str, Any] | None:
        """Order scores of the validation images; return the reply, or None if `board.failure` says why."""
        from tasks.sites.score import score

        order = ScoreOrder(
            **self._facts(settings), split="val", weights=self._put(weights, settings), threshold=0.5
        )
        self._deliver(score, order.to_message())
        return self.board.answer_

    def train(self, weights: Weights, **settings: Any) -> dict[str, Any] | None:
        """Order a training; return the reply, or None."""
        from tasks.sites.train import train_site

        order = SiteTrainOrder(
            **self._facts(settings), clients=[0], weights=self._put(weights, settings), sent_at=0.0,
            num_clients=1,
        )  # fmt: skip
        self._deliver(train_site, order.to_message())
        return self.board.answer_

    def _facts(self, settings: dict[str, Any]) -> dict[str, Any]:
        own = {"session": "s", "settings": SETTINGS | settings, "versions": versions_here(), "attempt": 0}
        where = {"run": self.run, "data_digest": self.data.digest, "site": "north", "origin": "attacker:/"}
        return {**own, **where, "round": self.round_number or self.num_orders + 1, "client": 0}

    def _put(self, weights: Weights, settings: dict[str, Any]) -> dict[str, Any]:
        names = model_for(Config.from_run(SETTINGS | settings)).names
        return put_arrays(self.store, f"weights:{self.num_orders}", names, weights).to_message()

    def _deliver(self, task: Any, message: dict[str, Any]) -> None:
        self.board.answer_, self.board.failure = None, ""
        self.num_orders += 1
        with contextlib.suppress(Ignore):
            task(message)


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of prepared images."""
    folder = tmp_path_factory.mktemp("victim")
    write_png_folder(folder / "images", 80, SIDE)
    prepare = [sys.executable, "preprocessing/load_and_create_dataset.py", "--input-shape", f"{SIDE},{SIDE}"]
    prepare += ["--input-dim", "1", "--test-fraction", "0.2", "--validation-fraction", "0.375"]
    subprocess.run(prepare, cwd=ROOT, env=os.environ | places(folder), check=True, capture_output=True)
    return folder / "preprocessed"


@pytest.fixture
def site(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VictimSite:
    """The site, with the policy of all defaults."""
    monkeypatch.setenv("DT_SITE", "north")
    monkeypatch.setenv("DT_SITE_DIR", str(tmp_path))
    monkeypatch.setenv("DT_PREPROCESSED_DIR", str(images))
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    config_of_run.cache_clear()
    config, data = Config.load(), PreparedData.open(images)
    session = SiteSession("north@here", config, {"name": "north", **data.counts()})
    victim = VictimSite(data, session)
    session.store._store = victim.store
    monkeypatch.setattr(celery_app, "_session", session)
    monkeypatch.setattr("helpers.cluster.heartbeat.Heartbeat._renew", lambda self: None)
    session.open_board = lambda *of: victim.board
    monkeypatch.setattr("tasks.run_context.seconds_since_dispatch", lambda client, order: 0.0)
    return victim

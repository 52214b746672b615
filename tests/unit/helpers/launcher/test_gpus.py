"""GPUs found without TensorFlow, and how the workers of a machine divide them."""

import pytest

from commands import doctor
from helpers.launcher import gpus, worker_processes
from helpers.launcher.worker_processes import own_gpus

LISTING = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-aaaa)
  MIG 1g.10gb     Device  0: (UUID: MIG-bbbb)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-cccc)
"""


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Lets nvidia-smi print what a test says, and nothing be hidden."""

    def show(listing: str) -> None:
        tool = tmp_path / "nvidia-smi"
        tool.write_text(f"#!/bin/sh\ncat <<'END'\n{listing}END\n")
        tool.chmod(0o755)

    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for name in ("CUDA_VISIBLE_DEVICES", "DT_GPU"):
        monkeypatch.delenv(name, raising=False)
    return show


def test_gpus_are_those_the_driver_lists(machine):
    machine(LISTING)
    assert gpus.gpu_names() == ["GPU 0: NVIDIA H100 80GB HBM3", "GPU 1: NVIDIA H100 80GB HBM3"]
    machine("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n")
    assert gpus.gpu_names() == []
    assert gpus.count_visible() == 0


@pytest.mark.parametrize(
    ("shown", "count"),
    [(None, 2), ("", 0), ("-1", 0), ("1", 1), ("1,0", 2), ("0,-1,1", 1), ("7", 0), ("GPU-aaaa", 1)],
)
def test_what_cuda_hides_does_not_count(machine, monkeypatch, shown, count):
    machine(LISTING)
    if shown is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
    assert gpus.count_visible() == count
    found = doctor.gpu()
    assert ("CUDA_VISIBLE_DEVICES hides them" in found.text) is (count == 0)
    assert not found.essential


@pytest.fixture
def _libraries(monkeypatch):
    """The packages of requirements-gpu.txt are installed."""
    monkeypatch.setattr(worker_processes, "has_libraries", lambda: True)


def test_gpus_that_tensorflow_cannot_use_are_given_to_nobody(machine, monkeypatch):
    machine(LISTING)
    monkeypatch.setattr(worker_processes, "has_libraries", lambda: False)
    assert own_gpus(2, {}) == [{}, {}]
    monkeypatch.setattr(doctor, "has_libraries", lambda: False)
    assert "unused: `python run.py setup gpu`" in doctor.gpu().text


@pytest.mark.usefixtures("_libraries")
def test_workers_take_the_gpus_in_turn(machine):
    machine(LISTING)
    assert [own["DT_GPU"] for own in own_gpus(3, {})] == ["0", "1", "0"]
    assert own_gpus(2, {"DT_GPU": "none"}) == [{}, {}]  # as their environment says already


def test_the_doctor_says_which_gpu_a_worker_was_given(monkeypatch):
    status = {"w1@here": {"gpu": "1"}, "w2@here": {"gpu": ""}, "w3@here": {}}
    monkeypatch.setattr(doctor, "check_reachable", lambda client: None)
    monkeypatch.setattr(doctor, "live_workers", lambda client: status)
    *_, workers = doctor.redis_and_workers("redis://127.0.0.1:1/0")
    assert workers.text == "w1@here (gpu 1), w2@here, w3@here"


@pytest.mark.usefixtures("_libraries")
def test_workers_without_a_gpu_are_told_nothing(machine):
    machine("")
    assert own_gpus(2, {}) == [{}, {}]

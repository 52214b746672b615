"""Settings made before TensorFlow is loaded."""

import os
from pathlib import Path

import pytest

from helpers.cluster.process_tuning import ONEDNN, tune_process, what_decides_bits


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


def test_threads_onednn_and_instructions_decide_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    processor = tmp_path / "cpuinfo"
    processor.write_text("model name\t: x\nflags\t\t: fpu avx avx2 avx512f\nflags\t\t: fpu\n")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setenv(ONEDNN, "0")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert what_decides_bits(2, processor) == {
        "threads": "2", "oneDNN": "0", "instructions": "x86_64 avx avx2 avx512f up to AVX2",
    }  # fmt: skip


def test_where_nothing_is_set_the_defaults_decide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    for name in (ONEDNN, "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
        monkeypatch.delenv(name, raising=False)
    bits = what_decides_bits(0, tmp_path / "missing")
    assert bits == {"threads": str(os.cpu_count()), "oneDNN": "1", "instructions": "arm64"}

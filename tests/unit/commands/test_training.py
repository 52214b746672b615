"""The training command: what it refuses before it connects."""

from pathlib import Path

import pytest

from commands.training import run_command
from commands.training_options import parse


def test_a_namespace_in_a_file_is_refused_as_workers_would_not_see_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.toml").write_text('NAMESPACE = "mine"\n')
    options = parse(["--config", str(tmp_path / "mine.toml")])
    assert run_command(options, lambda *_: pytest.fail("it started")) == 2
    assert "set DT_NAMESPACE in the environment" in capsys.readouterr().err


def test_sites_train_no_models_of_their_own_for_a_private_run(capsys: pytest.CaptureFixture[str]) -> None:
    private = ["--dp", "example", "--dp-target-epsilon", "8", "--architecture", "seed_cnn_groupnorm"]
    options = parse([*private, "--data-at", "sites", "--compare"])
    assert run_command(options, lambda *_: pytest.fail("it started")) == 2
    assert "LOCAL_MODELS: received True with DP=example" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "has_bfloat16", "gpus", "is_advised"),
    [
        ([], True, 0, True),
        ([], False, 0, False),
        ([], True, 1, False),
        (["--precision", "mixed_bfloat16"], True, 0, False),
        (["--architecture", "seed_cnn_groupnorm"], True, 0, False),
        (["--data-at", "sites"], True, 0, False),
    ],
)
def test_bfloat16_is_recommended_where_this_machine_would_train_faster_with_it(
    settings: list[str],
    has_bfloat16: bool,
    gpus: int,
    is_advised: bool,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("helpers.launcher.processors.have_bfloat16", lambda: has_bfloat16)
    monkeypatch.setattr("helpers.launcher.gpus.count_visible", lambda: gpus)
    assert run_command(parse(settings), lambda *_: None) == 0
    assert ("--precision mixed_bfloat16" in capsys.readouterr().out) == is_advised

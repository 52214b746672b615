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

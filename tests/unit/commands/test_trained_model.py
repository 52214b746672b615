"""The file of a trained model, by its path or by its run."""

from pathlib import Path

import pytest

from commands.trained_model import model_path


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("first", "models/first/best.keras"),
        ("models/first", "models/first/best.keras"),
        ("models/first/last.keras", "models/first/last.keras"),
        ("second", "second"),
    ],
)
def test_a_run_stands_for_its_best_model(
    name: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models/first").mkdir(parents=True)
    for model in ("best.keras", "last.keras"):
        (tmp_path / "models/first" / model).touch()
    assert model_path(name, Path("models")) == Path(file)

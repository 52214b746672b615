"""The names of test files: those of a module are found by its name."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAYERS = ("unit", "model")
OF_SEVERAL_MODULES = {"preprocessing/test_leaks.py", "helpers/local_training/test_precision.py"}
"""Tests of a promise that several modules keep together."""


def is_named_after_a_module(test: Path, root: Path = ROOT) -> bool:
    """Check for `<module>.py` or `<package>/` where `test` is test_<module>.py or test_<module>_….py."""
    name = test.stem.removeprefix("test_")
    modules = {file.stem for file in (root / test.parent).glob("*.py")} | {test.parent.name}
    return any(name == module or name.startswith(f"{module}_") for module in modules)


@pytest.mark.parametrize("layer", LAYERS)
def test_files_are_named_after_modules(layer: str) -> None:
    folder = ROOT / "tests" / layer
    files = [file.relative_to(folder) for file in folder.glob("*/**/test_*.py")]
    others = [file.as_posix() for file in files if not is_named_after_a_module(file)]
    assert set(others) <= OF_SEVERAL_MODULES


def test_the_check_catches_other_names(tmp_path: Path) -> None:
    (tmp_path / "helpers").mkdir()
    (tmp_path / "helpers/weights.py").touch()
    names = ("test_weights", "test_weights_twice", "test_helpers", "test_weightsy", "test_other")
    named = [is_named_after_a_module(Path(f"helpers/{name}.py"), tmp_path) for name in names]
    assert named == [True, True, True, False, False]

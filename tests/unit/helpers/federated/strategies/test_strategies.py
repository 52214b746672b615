"""The registry: the one place, apart from a strategy's own file, where the name of a strategy stands."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.federated.strategies import DEFAULT, STRATEGIES, Strategy
from helpers.global_config import Config
from tests.unit.helpers.federated.strategies.rounds import make

ROOT = Path(__file__).resolve().parents[5]
HOME = ROOT / "helpers/federated/strategies"
PARTS = ("helpers", "tasks", "commands", "preprocessing")
SCRIPTS = ("celery_app.py", "distributed_training_index.py")


def other_modules() -> list[Path]:
    modules = [ROOT / name for name in SCRIPTS] + [
        path for part in PARTS for path in (ROOT / part).rglob("*.py")
    ]
    return [path for path in modules if HOME not in path.parents]


def names_in(source: str) -> Iterator[str]:
    """Yield the texts that are names of strategies; np.median, an attribute, is not one."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and node.value in STRATEGIES:
            yield str(node.value)


def test_no_other_module_names_a_strategy() -> None:
    modules = other_modules()
    assert len(modules) > 100
    found = {str(path.relative_to(ROOT)): list(names_in(path.read_text())) for path in modules}
    assert {path: names for path, names in found.items() if names} == {}


def test_such_a_name_would_be_found() -> None:
    source = "import numpy as np\nif strategy == 'krum':\n    np.median([1])"
    assert list(names_in(source)) == ["krum"]


def test_the_default_is_the_first_and_known_to_the_settings() -> None:
    assert next(iter(STRATEGIES)) == DEFAULT == Config.STRATEGY


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_has_a_file_of_its_name_with_its_paper_and_reads_known_settings(name: str) -> None:
    strategy = make(name)
    assert isinstance(strategy, Strategy)
    assert (type(strategy).__doc__ or "").strip()
    module = type(strategy).__module__.rpartition(".")[2]
    assert name.startswith(module)
    assert " et al. 20" in (HOME / f"{module}.py").read_text()
    assert set(strategy.reads) <= set(Config.model_fields)


def test_every_setting_that_only_some_strategies_read_is_read_by_one() -> None:
    of_strategies = {name for name in Config.model_fields if name.startswith(("SERVER_", "TRIM_", "NUM_MAL"))}
    of_strategies |= {"PROXIMAL_MU", "DYNAMIC_ALPHA"}
    assert {name for kind in STRATEGIES.values() for name in kind.reads} == of_strategies

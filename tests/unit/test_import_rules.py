"""The table "Who may import whom" of docs/architecture.md, enforced, and tests of the checker."""

import ast
import graphlib
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ("run", "celery_app", "distributed_training_index")
PACKAGES = ("tasks", "preprocessing", "helpers", "commands")
FLAT_PACKAGES = ("benchmarks", "studies")
"""Without sub-packages: benchmarks/.venv holds thousands of modules that are not ours."""

ANYTHING = ("run", "distributed_training_index", "benchmarks", "studies")
SETTINGS_PARTS = (
    "helpers.settings",
    "helpers.architectures",
    "helpers.evaluation.threshold_rule",
    "helpers.federated",
    "helpers.privacy.mechanism",
)
# Parts of the project: what a module may import of it. The longest name that fits counts.
MAY_IMPORT = {
    "celery_app": (
        "helpers.global_config",
        "helpers.settings",
        "helpers.cluster",
        "helpers.federated.messages",
        "helpers.sites",
        "preprocessing.feed.prepared_data",
    ),
    "tasks": ("tasks", "celery_app", "helpers", "preprocessing"),
    "commands": (*SCRIPTS, *PACKAGES),
    "preprocessing": ("preprocessing", "helpers.global_config", "helpers.settings"),
    "helpers": ("helpers",),
    "helpers.federated": ("helpers.federated",),
    "helpers.settings": SETTINGS_PARTS,
    "helpers.settings.page": (*SETTINGS_PARTS, "helpers.global_config"),
    # `run.py` uses these before the packages are installed.
    "helpers.settings.command_line": ("helpers.settings",),
    "helpers.settings.names": ("helpers.settings.errors",),
    "helpers.settings.errors": ("helpers.settings.outside_text",),
}
# Libraries: the modules that may import them.
KERAS_USERS = (
    "helpers.architectures",
    "helpers.local_training",
    "helpers.model_instance_helper",
    "helpers.explaining.grad_cam",
    "helpers.run_records.run",
    "helpers.monitoring.mlflow_model",
    "commands.trained_model",
    "commands.predictions",
    "commands.export",
    "commands.tensorflow_loading",
)
CELERY_USERS = ("celery_app", "tasks", "helpers.cluster", "helpers.sites.sealed_orders")
LIBRARY_USERS = {
    "tensorflow": KERAS_USERS,
    "keras": KERAS_USERS,
    "redis": ("helpers.weight_store", "helpers.cluster", "helpers.launcher"),
    "celery": CELERY_USERS,
    "kombu": CELERY_USERS,
    "Crypto": ("helpers.secure_aggregation",),
}
# Modules that may import the standard library and these, nothing else from outside the project.
ONLY_LIBRARIES = {
    "helpers.federated": ("numpy",),
    "helpers.settings.command_line": (),
    "helpers.settings.names": (),
    "helpers.settings.errors": ("helpers.settings.outside_text",),
}

# Modules that unpickle; a pickle can run code.
UNPICKLERS = ("pickle", "_pickle", "pickletools", "shelve", "cloudpickle", "dill", "joblib")
# Packages that only these parts, and the package itself, may import.
ONLY_USED_BY = {
    **dict.fromkeys(UNPICKLERS, ("helpers.architectures.torch_file",)),
    "benchmarks": ("studies",),
    "studies": (),
    "helpers.launcher": ("run", "distributed_training_index", "commands", "benchmarks", "studies"),
    "tasks.sites": (),
    "helpers.sites": ("celery_app", "commands", "tasks.sites"),
}

Sources = Mapping[str, str]


def project_sources() -> dict[str, str]:
    """The source of every module of the project, by its dotted name."""
    files = [ROOT / f"{name}.py" for name in SCRIPTS]
    files += [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]
    files += [file for package in FLAT_PACKAGES for file in sorted((ROOT / package).glob("*.py"))]
    names = {file: ".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files}
    return {name.removesuffix(".__init__"): file.read_text() for file, name in names.items() if file.exists()}


def is_within(module: str, prefixes: tuple[str, ...]) -> bool:
    """Whether a module is one of these, or inside one of these packages."""
    return any(module == prefix or module.startswith(prefix + ".") for prefix in prefixes)


def imports_of(module: str, sources: Sources) -> Iterator[str]:
    """What a module imports, at its top or inside its functions, each by its full dotted name."""
    is_package = any(name.startswith(module + ".") for name in sources)
    for node in ast.walk(ast.parse(sources[module])):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = module.split(".")
            base = base[: len(base) - node.level + is_package] if node.level else []
            origin = ".".join([*base, *filter(None, [node.module])])
            for alias in node.names:
                submodule = f"{origin}.{alias.name}"
                yield submodule if submodule in sources else origin


def is_allowed(module: str, target: str) -> bool:
    """Whether the rules let a module import this."""
    for package, users in ONLY_USED_BY.items():
        if is_within(target, (package,)) and not is_within(module, (package, *users)):
            return False
    if is_within(module, ANYTHING):
        return True
    rule = max((name for name in MAY_IMPORT if is_within(module, (name,))), key=len)
    library = target.partition(".")[0]
    if library in (*SCRIPTS, *PACKAGES, *FLAT_PACKAGES):
        return is_within(target, MAY_IMPORT[rule])
    if library in LIBRARY_USERS:
        return is_within(module, LIBRARY_USERS[library])
    allowed = ONLY_LIBRARIES.get(rule)
    return allowed is None or library in allowed or library in sys.stdlib_module_names


def broken_rules(sources: Sources) -> list[str]:
    """Every import that the rules forbid, as a sentence."""
    pairs = [(module, target) for module in sources for target in imports_of(module, sources)]
    return [f"{module} imports {target}" for module, target in pairs if not is_allowed(module, target)]


def import_cycle(sources: Sources) -> list[str]:
    """The modules of one import cycle, if there is any."""
    graph = {module: set(imports_of(module, sources)) & set(sources) for module in sources}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def test_every_module_imports_only_what_it_may():
    assert broken_rules(project_sources()) == []


def test_no_module_lets_a_library_unpickle():
    calls = re.compile(r"allow_pickle=True|read_pickle|safe_mode=False|enable_unsafe_deserialization")
    assert [module for module, source in project_sources().items() if calls.search(source)] == []


def test_the_rules_speak_of_modules_that_are_there():
    users = [name for names in LIBRARY_USERS.values() for name in names]
    parts = [name for names in MAY_IMPORT.values() for name in names]
    assert {*MAY_IMPORT, *ONLY_LIBRARIES, *users, *parts} <= project_sources().keys()


def test_there_is_no_import_cycle():
    assert import_cycle(project_sources()) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("helpers.federated.rounds", "import tensorflow"),
        ("helpers.federated.rounds", "from pandas import DataFrame"),
        ("helpers.federated.rounds", "from helpers.global_config import Config"),
        ("helpers.federated.rounds", "from ..global_config import Config"),
        ("helpers.federated.rounds", "def late():\n    import celery"),
        ("helpers.settings.rules", "from helpers.global_config import Config"),
        ("helpers.settings.command_line", "def late():\n    from helpers.global_config import Config"),
        ("helpers.settings.command_line", "from pydantic import Field"),
        ("helpers.launcher.local_cluster", "import keras.layers"),
        ("helpers.launcher.local_cluster", "from tasks import train_task"),
        ("helpers.launcher.local_cluster", "import celery_app"),
        ("helpers.local_training.trainer", "from preprocessing.feed.input_pipeline import batches"),
        ("helpers.run_records.tables", "import redis"),
        ("helpers.weight_store.codec", "from kombu import Queue"),
        ("preprocessing.prepare.splitting", "from helpers.cluster import errors"),
        ("preprocessing.prepare.splitting", "import tensorflow"),
        ("preprocessing.feed.input_pipeline", "import tensorflow as tf"),
        ("celery_app", "from helpers.federated.rounds import run"),
        ("celery_app", "from tasks import train_task"),
        ("tasks.train_task", "import redis"),
        ("helpers.explaining.overlay", "import keras"),
        ("helpers.monitoring.tensorboard", "import tensorflow"),
        ("helpers.launcher.local_cluster", "from commands.predict import predict"),
        ("commands.runs", "import keras"),
        ("commands.runs", "from benchmarks.records import Record"),
        ("helpers.launcher.local_cluster", "from benchmarks import floor"),
        ("run", "from benchmarks import run"),
        ("commands.runs", "from studies.outcomes import Outcome"),
        ("benchmarks.rounds", "from studies.cases import Case"),
        ("helpers.cluster.heartbeat", "from helpers.launcher import gpus"),
        ("tasks.aggregate_task", "from tasks.sites.record import finish"),
        ("helpers.weight_store.codec", "import pickle"),
        ("helpers.architectures.pretrained", "from pickle import Unpickler"),
        ("run", "import _pickle"),
        ("benchmarks.rounds", "def late():\n    import joblib"),
    ],
)
def test_the_checker_catches(module, source):
    assert len(broken_rules({module: source})) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("helpers.federated.rounds", "import json, numpy as np\nfrom helpers.federated.weights import mean"),
        ("helpers.federated.rounds", "from .weights import mean"),
        ("helpers.settings.page", "from helpers.global_config import Config"),
        ("helpers.local_training.trainer", "import tensorflow as tf"),
        ("preprocessing.prepare.splitting", "from helpers.global_config import Config"),
        ("tasks.train_task", "from celery_app import app\nfrom helpers.weight_store import store"),
        ("commands.predictions", "import keras\nfrom preprocessing import errors\nfrom helpers.a import b"),
        ("distributed_training_index", "import keras, redis\nfrom tasks import train_task"),
        ("benchmarks.floor_client", "import keras\nimport run\nfrom helpers.launcher import gpus"),
        ("studies.runs", "from benchmarks.pipeline import Pipeline"),
        ("helpers.architectures.torch_file", "import pickle"),
    ],
)
def test_the_checker_allows(module, source):
    assert broken_rules({module: source}) == []


@pytest.mark.parametrize("late", [False, True])
def test_the_checker_catches_a_cycle(late):
    back = "def f():\n    from helpers.a import x" if late else "from . import a"
    sources = {"helpers": "", "helpers.a": "from helpers import b", "helpers.b": back}
    assert set(import_cycle(sources)) == {"helpers.a", "helpers.b"}
    assert import_cycle({**sources, "helpers.b": "import json"}) == []


def test_federated_needs_nothing_but_numpy():
    modules = [name for name in project_sources() if is_within(name, ("helpers.federated",))]
    lines = [f"import {module}" for module in modules]
    lines += [
        "import sys",
        "print({'tensorflow', 'keras', 'celery', 'redis', 'pydantic'} & set(sys.modules))",
    ]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("set()\n", "")

"""Flower's environment has the project's versions."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_flower_computes_with_the_versions_of_the_project():
    pin = re.compile(r"^([\w.-]+)==(\S+)", re.MULTILINE)
    locked = dict(pin.findall((ROOT / "requirements.lock").read_text()))
    theirs = dict(pin.findall((ROOT / "benchmarks/requirements.txt").read_text()))
    shared = {"tensorflow", "keras", "numpy", "ml-dtypes"}
    assert {name: theirs[name] for name in shared} == {name: locked[name] for name in shared}

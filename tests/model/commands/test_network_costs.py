"""`python run.py models`: what it says of each network."""

from io import StringIO

import pytest
from rich.console import Console

import commands.network_costs as command
from commands.network_costs import cost_of, print_costs
from helpers.global_config import Config


@pytest.fixture
def quick(monkeypatch):
    """One registered network alone, a step."""
    monkeypatch.setattr(command, "ARCHITECTURES", {"seed_cnn": command.ARCHITECTURES["seed_cnn"]})
    monkeypatch.setattr(command, "MEASURED_S", 0.0)


def shown(config: Config, *, with_timing: bool) -> str:
    console = Console(width=80, record=True, force_terminal=False)
    print_costs(config, with_timing=with_timing, console=console)
    return console.export_text()


def test_every_network_has_its_size_and_speed_and_own_ones_are_listed(quick) -> None:
    own = ("tests.model.custom_networks:good", "tests.model.custom_networks:compiled")
    config = Config(INPUT_SHAPE=(16, 16), OWN_ARCHITECTURES=own, TRAIN_BATCH_SIZE=4, TRAIN_STEP="fast")
    rows = {line.split()[0]: line.split() for line in shown(config, with_timing=True).splitlines() if line}
    assert rows["seed_cnn"][1:3] == ["89,665", "0.7"]  # 89,665 · 4 bytes, there and back
    assert all(float(rows[name][3].replace(",", "")) > 0 for name in ("seed_cnn", own[0]))
    assert rows["at"][2] == "16x16,"
    refused = f"{own[1]}: ARCHITECTURE: {own[1]} returned a compiled model; leave out compile()"
    assert " ".join(rows[f"{own[1]}:"]).startswith(refused)


def test_without_timing_nothing_is_trained(quick, monkeypatch) -> None:
    monkeypatch.setattr(command, "images_per_second", None)
    assert "89,665" in shown(Config(INPUT_SHAPE=(16, 16)), with_timing=False)


def test_a_terminal_names_the_network_that_is_waited_for(quick, monkeypatch) -> None:
    monkeypatch.setattr(command, "cost_of", lambda name, *_: command.NetworkCost(name))
    for is_terminal in (False, True):
        console = Console(file=StringIO(), width=80, force_terminal=is_terminal)
        print_costs(Config(), with_timing=True, console=console)
        assert ("measuring seed_cnn (1 of 1)" in console.file.getvalue()) == is_terminal


def test_what_cannot_be_built_is_said_beside_the_others() -> None:
    cost = cost_of("mobilenet_v3_small", Config(INPUT_SHAPE=(16, 16)), with_timing=True)
    assert cost.problem.startswith("INPUT_SHAPE: received (16, 16)")

"""docs/strategies.md: a row for every strategy with the settings it reads, and an example that works."""

import math
import re
import sys
from pathlib import Path

import pytest

from helpers.federated.strategies import STRATEGIES
from helpers.federated.strategies.base import Update
from helpers.global_config import Config
from tests.unit.helpers.federated.strategies.crowds import update
from tests.unit.helpers.federated.strategies.rounds import server

PAGE = (Path(__file__).resolve().parents[2] / "docs/strategies.md").read_text()
ROWS = {name: row for row in PAGE.splitlines() for name in re.findall(r"^\| `(\w+)` \|", row)}
SPECIFIC = {name for kind in STRATEGIES.values() for name in kind.reads}


def test_every_strategy_has_a_row_in_the_order_of_the_registry():
    assert [name for name in ROWS if name in STRATEGIES] == list(STRATEGIES)


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_row_names_the_settings_that_the_strategy_reads_and_its_paper(name):
    *_, parameters, paper, _ = ROWS[name].split("|")
    assert SPECIFIC & set(re.findall(r"`(\w+)`", parameters)) == set(STRATEGIES[name].reads)
    assert re.search(r"et al\. 20\d\d", paper)


def test_the_example_works(tmp_path, monkeypatch):
    code = PAGE.partition("## Add your own strategy")[2].partition("```python\n")[2].partition("```")[0]
    assert len([line for line in code.splitlines() if line.strip()]) <= 15
    (tmp_path / "my_rules.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    reference = "my_rules:SquareRoot"
    assert f"DT_OWN_STRATEGIES={reference}" in PAGE
    strategy = Config.load(STRATEGY=reference, OWN_STRATEGIES=reference).strategy
    monkeypatch.delitem(sys.modules, "my_rules")
    updates = [Update(update(1), 4, 1, 4), Update(update(5), 9, 1, 9)]
    weights, state = strategy.aggregate(updates, server(update(0)))
    assert weights[0][0] == pytest.approx((2 * 1 + 3 * 5) / (2 + math.sqrt(9)))
    assert state == []

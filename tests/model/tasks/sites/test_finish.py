"""Rows of sites.csv, as sites send them."""

from typing import Any

import pytest

from helpers.federated.sites.messages import FinishSitesOrder, ScoreReply
from helpers.run_records.tables import SITE_COLUMNS
from tasks.sites.finish import comparisons, rows_of_sites

GOOD = {"model": "global", "roc_auc": 0.75, "roc_auc_low": None, "num_examples": 20}


def rows_of(models: Any) -> tuple[list[dict[str, Any]], list[str]]:
    reply = ScoreReply(3, 0, 0, "w", "ok", models=models).to_message()
    facts = {"run": "r", "session": "s", "settings": {}, "data_digest": "", "versions": {}, "attempt": 0}
    own = {"clients": [0], "sites": [{"name": "north"}], "scores": {"test": [reply]}, "threshold": 0.5}
    return rows_of_sites(FinishSitesOrder(**facts, round=3, **own))


def test_rows_have_the_name_of_their_site_and_nothing_else_than_the_columns() -> None:
    (row,), refused = rows_of([GOOD | {"more": "text", "site": "south"}])
    assert refused == []
    assert set(row) == set(SITE_COLUMNS)
    assert (row["site"], row["model"], row["roc_auc"]) == ("north", "global", 0.75)


@pytest.mark.parametrize(
    "models",
    [
        7, [7], [None], [GOOD | {"model": "=evil()"}], [GOOD | {"model": ["global"]}],
        [GOOD | {"roc_auc": "0.7"}], [GOOD | {"roc_auc": float("nan")}], [GOOD | {"round": True}],
        [GOOD | {"num_examples": 10**400}], [GOOD] * 4,
    ],
)  # fmt: skip
def test_rows_of_another_form_are_left_out(models: Any) -> None:
    rows, refused = rows_of(models)
    assert rows == []
    assert refused[0].startswith("site north: its tests of models are left out")


def test_the_models_of_a_site_are_compared_in_a_sentence() -> None:
    rows = [GOOD | {"site": "north"}, {"model": "local", "site": "north", "roc_auc": None}]
    assert comparisons(rows) == ["site north: test AUC 0.750 global, undefined local"]


def test_a_site_without_rows_has_none() -> None:
    assert rows_of(None) == ([], [])

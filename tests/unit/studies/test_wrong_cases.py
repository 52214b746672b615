"""The surest wrong cases of finished runs."""

import numpy as np
import pandas as pd
import pytest

from studies.wrong_cases import main


@pytest.fixture
def folder(tmp_path):
    files = [f"{number % 2}/{number}.png" for number in range(24)]
    manifest = pd.DataFrame({"file": files, "label": "0", "device": ["a"] * 20 + ["b"] * 4})
    manifest.to_csv(tmp_path / "manifest.csv", index=False)
    for run, part in (("one", slice(0, 12)), ("two", slice(12, 24))):
        (tmp_path / run).mkdir()
        labels = np.arange(24)[part] % 2
        scores = np.where(labels == 1, 0.9, 0.1)
        scores[1] = 0.01  # a cancer that is missed
        named = {"test_files": np.array(files[part]), "test_labels": labels, "test_scores": scores}
        np.savez(tmp_path / run / "scores.npz", **named)
        pd.DataFrame({"threshold": [0.5]}).to_csv(tmp_path / run / "test.csv")
    return tmp_path


def test_the_surest_wrong_cases_come_first_and_small_groups_have_no_row(folder, capsys):
    assert main(["one", "two", "--metrics-dir", str(folder), "--data-dir", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert "| a | 20 | 10 | 10% | 0.800 |" in printed  # two of ten cancers are below all other images
    assert "| b | 4 |" not in printed
    rows = printed.splitlines()
    first = rows.index(next(row for row in rows if row.startswith("| file"))) + 2
    assert {row.split(" | ")[0] for row in rows[first : first + 2]} == {"| 1/1.png", "| 1/13.png"}
    assert "0.010" in rows[first]

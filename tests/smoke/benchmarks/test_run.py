"""The benchmarks from end to end, tiny: a part that is cheap, and what is written about it."""

import sys
from pathlib import Path

import pandas as pd
import pytest

from benchmarks import run

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the benchmarks read /proc")


def test_a_part_leaves_a_table_a_page_and_plots(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run.measure(["transfer"], True, tmp_path, ["python", "benchmarks/run.py", "transfer", "--quick"])
    table = pd.read_csv(tmp_path / "results.csv")
    bare = table[table["contender"] == "bare SET and GET"]
    ours = table[table["contender"] == "ours, redis://"]
    assert len(bare) == len(ours) == 2
    assert (table["median"] > 0).all()
    assert ours["ratio"].tolist() == pytest.approx((ours["median"].values / bare["median"].values).tolist())
    assert set(pd.read_csv(tmp_path / "targets.csv")["verdict"]) <= {"met", "missed", "not measured"}
    page = (tmp_path / "results.md").read_text()
    assert "- command: python benchmarks/run.py transfer --quick" in page
    for picture in ("targets.png", "transfer.png"):
        assert f"![{picture}]" in page
        assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")
    assert "transfer took" in capsys.readouterr().out


def test_an_unknown_part_is_refused_with_the_names_of_all(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run.parse(["rounds"])
    assert caught.value.code == 2
    assert "PART: received rounds, expected round, first, clients" in capsys.readouterr().err

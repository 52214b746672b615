"""The notebook of examples/, its cells executed in order as one program in an empty folder."""

import json
import os
import subprocess
import sys
from pathlib import Path

from helpers.launcher.embedded_redis import find_binary, start_server

ROOT = Path(__file__).resolve().parents[3]


def test_the_notebook_trains_and_shows_results(tmp_path: Path) -> None:
    notebook = json.loads((ROOT / "examples" / "quickstart.ipynb").read_text())
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(not cell["outputs"] for cell in cells)
    program = "\n\n".join("".join(cell["source"]) for cell in cells)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DT_")}
    with start_server(find_binary(), tmp_path / "redis") as server:
        environment |= {"PYTHONPATH": str(ROOT), "REDIS_URL": server.url}
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Workers:" in done.stdout
    assert "probability of class 1: 0." in done.stdout
    assert (tmp_path / done.stdout.splitlines()[-1]).is_file()
    for place in ("metrics/quickstart/test.csv", "models/quickstart/best.keras"):
        assert (tmp_path / place).is_file()

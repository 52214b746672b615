"""Files are written whole or not at all."""

import subprocess
import sys
from pathlib import Path

import pytest

from helpers.run_records import files
from helpers.run_records.files import RecordError, RunFolders, write_whole


def test_a_failed_write_leaves_the_earlier_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_whole(path, b"first")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(RecordError, match="file could not be written: No space left"):
        write_whole(path, b"second")
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on the size of files there")
def test_a_full_disk_leaves_the_earlier_file(tmp_path: Path) -> None:
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from helpers.run_records.files import RecordError, write_whole\n"
        "path = Path(sys.argv[1]); write_whole(path, b'first')\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: write_whole(path, b'x' * 5000)\n"
        "except RecordError as error: print(error)\n"
    )
    root = Path(__file__).resolve().parents[4]
    path = tmp_path / "state.json"
    done = subprocess.run([sys.executable, "-c", code, str(path)], cwd=root, capture_output=True, text=True)
    assert "state.json could not be written: File too large" in done.stdout, done.stderr
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def make_results(folder: Path, *names: str) -> RunFolders:
    folders = RunFolders(folder / "metrics/first", folder / "models/first")
    for path in (folders.metrics, folders.models):
        path.mkdir(parents=True)
    for name in names:
        (folder / name).touch()
    return folders


def test_results_on_this_machine_are_named_by_their_paths(tmp_path: Path) -> None:
    names = ("metrics/first/test.csv", "models/first/best.keras", "models/first/model_card.md")
    folders = make_results(tmp_path, *names)
    assert folders.results_found(folders.results_here()) == [
        str(tmp_path / name) for name in ("metrics/first", *names[1:])
    ]


def test_results_on_another_machine_are_named_by_host_and_path_and_missing_ones_by_none(
    tmp_path: Path,
) -> None:
    folders = make_results(tmp_path, "metrics/first/report.html")
    places = ["there:/x/metrics/first", "there:/x/models/first/best.keras"]
    report = str(tmp_path / "metrics/first/report.html")
    assert folders.results_found(places) == [places[0], report, places[1]]

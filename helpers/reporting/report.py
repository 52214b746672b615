"""Report of a run: metrics/<run>/report.html, one self-contained page."""

from pathlib import Path

from helpers.reporting.page import render
from helpers.reporting.pictures import drawing
from helpers.reporting.run_files import RunFiles, read_run
from helpers.reporting.sections import all_sections
from helpers.run_records.files import write_whole

REFRESH_S = 10


def write_report(
    metrics_dir: Path, models_dir: Path, run: str, audit_csv: Path | None = None, *, is_running: bool = False
) -> Path:
    """Write the report of a run from its files; an earlier one is replaced.

    Sections whose files are missing, damaged or of an older version say so.

    Args:
        metrics_dir, models_dir: folders with a folder per run.
        run: name of the run.
        audit_csv: findings of the audit of the prepared images.
        is_running: whether the run continues: the page then reloads itself every few seconds until the
            test. Otherwise a run without a test is shown as stopped.

    Returns:
        The path of the report.

    Raises:
        RecordError: the report could not be written.
    """
    files = read_run(metrics_dir, models_dir, run, audit_csv)
    path = metrics_dir / run / "report.html"
    write_whole(path, report_page(files, REFRESH_S if is_running and not files.is_finished else None))
    return path


def report_page(files: RunFiles, refresh: int | None = None) -> bytes:
    """Return the report of a run; `refresh` is the time between two reloads, seconds."""
    with drawing():
        sections = all_sections(files)
    return render(
        "report.html", run=files.run, refresh=refresh, classes=files.class_names,
        is_binary=files.is_binary, **sections,
    )  # fmt: skip

"""metrics/<run>/report.html: one page with everything a run has to show."""

from pathlib import Path

from helpers.reporting.page import render
from helpers.reporting.pictures import drawing
from helpers.reporting.run_files import read_run
from helpers.reporting.sections import all_sections
from helpers.run_records.files import write_whole

REFRESH_S = 10


def write_report(
    metrics_dir: Path, models_dir: Path, run: str, audit_csv: Path | None = None, *, is_running: bool = False
) -> Path:
    """Make the report of a run from its files, in place of an earlier one.

    Files may be missing, of an older version or damaged: their sections then say so.

    Args:
        metrics_dir, models_dir: hold a folder for each run.
        run: its name.
        audit_csv: what the leakage guard listed, beside the prepared images.
        is_running: a session works on the run: until the test the page loads itself again every few
            seconds. Otherwise a run without a test is shown as stopped.

    Returns:
        The path of the page.

    Raises:
        RecordError: it could not be written.
    """
    files = read_run(metrics_dir, models_dir, run, audit_csv)
    with drawing():
        sections = all_sections(files)
    refresh = REFRESH_S if is_running and not files.is_finished else None
    classes, is_binary = files.class_names, files.is_binary
    page = render("report.html", run=run, refresh=refresh, classes=classes, is_binary=is_binary, **sections)
    path = metrics_dir / run / "report.html"
    write_whole(path, page)
    return path

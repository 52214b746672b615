"""A folder of images that a source writes itself, as a whole, and may replace later."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from preprocessing.errors import PreprocessingError

README_FILE = "README.txt"


@contextmanager
def kept_if_filled(folder: Path) -> Iterator[None]:
    """Make a folder and those above it; the new ones that are empty in the end are removed again."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        for path in made:
            with suppress(OSError):  # it is not empty
                path.rmdir()


@contextmanager
def written_folder(folder: Path, readme: str) -> Iterator[Path]:
    """Give an empty folder to write images to; when all went well it takes the place of `folder`.

    Args:
        folder: made if missing; replaced if it is empty or its README.txt has the same first line.
        readme: content of README.txt; the first line tells our folders from others.

    Raises:
        PreprocessingError: the folder holds something else.
    """
    title = readme.splitlines()[0]
    _refuse_other_content(folder, title)
    with kept_if_filled(folder.parent):
        scratch = Path(tempfile.mkdtemp(prefix=".images-", dir=folder.parent))
        try:
            yield scratch
            (scratch / README_FILE).write_text(readme, encoding="utf-8")
            scratch.chmod(0o755)  # a temporary folder is private by default
            shutil.rmtree(folder, ignore_errors=True)
            scratch.replace(folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _refuse_other_content(folder: Path, title: str) -> None:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    readme = folder / README_FILE
    if readme.is_file() and readme.read_text(encoding="utf-8", errors="replace").startswith(title):
        return
    raise PreprocessingError(
        f"{folder}: holds something else than “{title}”; name a new folder with --data-dir"
    )

"""A folder of images that a source writes as a whole, and may replace later."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from preprocessing.errors import PreprocessingError

README_FILE = "README.txt"


@contextmanager
def kept_if_filled(folder: Path) -> Iterator[None]:
    """Make a folder and its parents; on leaving, remove the new ones that are still empty."""
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
    """Yield an empty folder for new images, which replaces `folder` at the end unless an error occurred.

    Args:
        folder: made if missing; replaced if it is empty or its README.txt has the same first line.
        readme: content of README.txt; its first line marks the folder as ours.

    Raises:
        PreprocessingError: the folder has other content.
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
    raise PreprocessingError(f"{folder}: has other content than “{title}”; name a new folder with --data-dir")

import os

import cv2
import numpy as np
import pytest

from helpers.global_config import Config
from helpers.settings.outside_text import printable
from preprocessing.errors import PreprocessingError, is_utf8, name_some
from preprocessing.load_and_create_dataset import prepare
from preprocessing.prepare.audit import Finding, write_audit

LATIN = os.fsdecode(b"Mu\xf1oz.png")


def test_text_from_outside_is_only_shown():
    assert printable("Größe ä 乳房.png") == "Größe ä 乳房.png"
    assert printable(f"\x1b[2J{LATIN}\u202e") == r"\x1b[2JMu\xf1oz.png\u202e"
    assert name_some(["a\nb", "\x1b[31m"]) == r"a\nb, \x1b[31m"
    assert str(PreprocessingError("\x1b[2J: damaged")) == r"\x1b[2J: damaged"
    assert not is_utf8(LATIN)


def test_audit_cells_are_no_formulas_and_no_escape_sequences(tmp_path):
    write_audit(tmp_path / "audit.csv", [Finding("cropped", "=cmd|x!A1", "-\x1b[2J", "0.5")])
    assert (tmp_path / "audit.csv").read_text().splitlines()[1] == r"cropped,'=cmd|x!A1,'-\x1b[2J,0.5"


@pytest.mark.parametrize("where", ["file", "folder"])
def test_names_that_are_not_utf8_are_refused_in_one_line(tmp_path, where):
    folder = tmp_path / (os.fsdecode(b"M\xf1") if where == "folder" else "images")
    for number in range(24):
        name = LATIN if where == "file" and number == 3 else f"{number}.png"
        (folder / str(number % 2)).mkdir(parents=True, exist_ok=True)
        (folder / str(number % 2) / name).write_bytes(
            cv2.imencode(".png", np.eye(8, dtype=np.uint8))[1].tobytes()
        )
    with pytest.raises(
        PreprocessingError, match=r"1 name of files or folders not in UTF-8: .*M(u)?\\xf1"
    ) as caught:
        prepare(Config(DATA_DIR=folder, PREPROCESSED_DIR=tmp_path / "out"))
    str(caught.value).encode()

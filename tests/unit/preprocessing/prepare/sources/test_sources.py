"""The registry of sources, and a user's own source."""

import ast
import sys
from pathlib import Path

import numpy as np
import pytest

from helpers.global_config import Config
from preprocessing.command_line import parse
from preprocessing.errors import PreprocessingError
from preprocessing.feed.prepared_data import PreparedData
from preprocessing.load_and_create_dataset import main
from preprocessing.prepare.sources import DEFAULT_SOURCE, SOURCES, get_source, list_images
from preprocessing.prepare.sources.source import Option, Source

PREPROCESSING = Path(__file__).resolve().parents[5] / "preprocessing"
DOCS = PREPROCESSING.parent / "docs/data.md"


@pytest.fixture
def own(tmp_path, monkeypatch):
    example = DOCS.read_text(encoding="utf-8").partition("```python\n")[2].partition("```")[0]
    (tmp_path / "my_source.py").write_text(example + "BROKEN = 3\n", encoding="utf-8")
    (tmp_path / "faulty_source.py").write_text("import a_package_that_does_not_exist")
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in ("my_source", "faulty_source"):
        sys.modules.pop(name, None)


def test_every_source_has_examples_and_options_that_parse():
    assert next(iter(SOURCES)) == DEFAULT_SOURCE
    for name, source in SOURCES.items():
        assert get_source(name) is source
        for example in source.examples:
            options = parse(["--source", name, *example.split()])
            assert options.source_options.keys() <= {option.name for option in source.options}


def test_a_source_with_a_folder_of_its_own_never_uses_data_dir_of_the_settings():
    assert "DATA_DIR" not in parse(["--source", "folder"])
    for words, folder in (
        ("demo", "demo/images"),
        ("medmnist --dataset bloodmnist --size 64", "medmnist/bloodmnist_64"),
        ("medmnist --dataset x", "medmnist/x_128"),
        ("demo --data-dir here", "here"),
    ):
        options = parse(["--source", *words.split()])
        assert str(options.DATA_DIR) == str(Path(folder))


def test_help_lists_sources_options_and_examples(capsys):
    with pytest.raises(SystemExit):
        parse(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    for name, source in SOURCES.items():
        assert f"{name}: {source.summary}" in text
        assert all(f"{option.flag} " in text for option in source.options)
        assert all(f"--source {name} {example}" in text for example in source.examples)


def test_the_source_in_the_docs_is_prepared_like_others(own, capsys):
    for number in range(60):
        np.save(own / f"{('sick', 'ill')[number % 2]}_{number}.npy", np.full((8, 6), 4 * number, np.uint8))
    command = ["--source", "my_source:ARRAYS", "--data-dir", str(own), "--out", str(own / "out")]
    command += ["--input-shape", "8,6", "--input-dim", "1"]
    assert main(command) == 0
    prepared = PreparedData.open(own / "out")
    assert prepared.class_names == ("healthy", "ill")
    assert prepared.manifest["source"] == "my_source:ARRAYS"
    for file, image, label in zip(
        prepared.files("train"), prepared.images("train"), prepared.labels("train"), strict=True
    ):
        assert (label, image[0, 0, 0]) == (file.startswith("ill"), 4 * int(file.split("_")[1][:-4]))
    capsys.readouterr()
    assert main([*command, "--ill", "sick"]) == 0
    assert all(PreparedData.open(own / "out").labels("test") == [
        file.startswith("sick") for file in PreparedData.open(own / "out").files("test")
    ])  # fmt: skip
    (own / "sick_2.npy").write_bytes(b"text")
    assert main(command) == 2
    assert "sick_2.npy (not an array)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tape", "'tape', expected one of folder, dicom, medmnist, demo, or your own as package"),
        (":x", "expected one of folder, "),
        ("absent_module:x", "importing absent_module failed: ModuleNotFoundError: .*project's folder"),
        ("faulty_source:x", "importing faulty_source failed: .*a_package_that_does_not_exist"),
        ("my_source:NONE", "my_source has no Source of the name NONE"),
        ("my_source:BROKEN", "my_source has no Source of the name BROKEN"),
    ],
)
def test_an_unknown_source_is_refused_in_one_line(own, capsys, name, message):
    with pytest.raises(PreprocessingError, match=f"--source: received .*{message}"):
        get_source(name)
    assert main(["--source", name]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: --source: received {name!r}")


def test_an_option_of_another_source_is_refused_and_defaults_are_filled(tmp_path, monkeypatch):
    received = {}
    source = Source(
        "", lambda config, progress, **options: received.update(options), (Option("side", "", 3),)
    )
    monkeypatch.setitem(SOURCES, "other", source)
    config = Config(DATA_DIR=tmp_path)
    list_images("other", {}, config, print)
    assert received == {"side": 3}
    list_images("other", {"side": 4}, config, print)
    assert received == {"side": 4}
    with pytest.raises(PreprocessingError, match="--positive-class: is for --source folder or dicom, rec"):
        list_images("other", {"positive_class": "x"}, config, print)


def test_no_other_module_of_preprocessing_names_a_source():
    for file in PREPROCESSING.rglob("*.py"):
        if file.parent.name != "sources":
            tree = ast.parse(file.read_text())
            texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
            assert not texts & SOURCES.keys(), file

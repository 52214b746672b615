"""Planted leaks in a whole preparation."""

import csv
import json
import re

import cv2
import numpy as np
import pytest

from helpers.global_config import Config
from preprocessing.errors import PreprocessingError
from preprocessing.feed.prepared_data import PreparedData
from preprocessing.load_and_create_dataset import main, prepare

COUNT = 12  # images per class
GIVEN = ["train"] * 6 + ["val"] * 3 + ["test"] * 3


def picture(seed):
    coarse = np.random.default_rng(seed).normal(128, 40, (10, 10))
    return np.clip(cv2.resize(coarse, (96, 96), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)


def save(folder, name, pixels):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(cv2.imencode(".png", pixels)[1].tobytes())


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "images"
    for label in (0, 1):
        for number in range(COUNT):
            save(folder, f"{label}/{number:02d}.png", picture(100 * label + number))
    return folder


@pytest.fixture
def config(data, tmp_path):
    return Config(DATA_DIR=data, PREPROCESSED_DIR=tmp_path / "out", INPUT_SHAPE=(64, 64))


def give(data, patients=None, more=()):
    """Write manifest.csv with the splits GIVEN, in both classes, and a patient per image or `patients`."""
    rows = [(f"{label}/{n:02d}.png", GIVEN[n], f"{label}-{n}") for label in (0, 1) for n in range(COUNT)]
    rows = [(file, split, (patients or {}).get(file, patient)) for file, split, patient in rows]
    lines = ["file,split,patient", *(",".join(row) for row in [*rows, *more])]
    (data / "manifest.csv").write_text("\n".join(lines) + "\n")


def read_audit(config, name="audit.csv"):
    with (config.PREPROCESSED_DIR / name).open(encoding="utf-8", newline="") as lines:
        return [(row["kind"], row["file"], row["other"]) for row in csv.DictReader(lines)]


def near_copy(data, file, target):
    """A smaller, brighter, recompressed copy."""
    pixels = cv2.imread(str(data / file), cv2.IMREAD_GRAYSCALE)[1:-1, 1:-1]
    smaller = cv2.resize(pixels, (70, 70), interpolation=cv2.INTER_AREA)
    jpeg = cv2.imencode(".jpg", np.clip(smaller.astype(int) + 12, 0, 255).astype(np.uint8))[1]
    (data / target).write_bytes(jpeg.tobytes())


def exact_copy(data, file, target):
    (data / target).write_bytes((data / file).read_bytes())


def test_clean_data_has_an_empty_audit_and_a_given_split_is_used(config, data):
    give(data)
    prepared = prepare(config)
    assert read_audit(config) == []
    assert set(prepared.manifest["audit"].values()) == {0}
    said = [prepared.manifest[name] for name in ("split_by", "grouped_by", "allowed")]
    assert said == ["given", "patient and copy", []]
    assert prepared.manifest["patients"] == {"train": 12, "val": 6, "test": 6}
    assert prepared.files("val") == [f"{label}/{number:02d}.png" for label in (0, 1) for number in (6, 7, 8)]


@pytest.mark.parametrize("copy", [exact_copy, near_copy])
def test_copies_never_cross_a_split(config, data, copy):
    for number in range(COUNT):
        copy(data, f"0/{number:02d}.png", f"0/copy{number:02d}.png")
    for seed in range(5):
        manifest = prepare(config.model_copy(update={"SEED": seed})).manifest
        split = {entry["file"]: entry["split"] for entry in manifest["files"]}
        group = {entry["file"]: entry["group"] for entry in manifest["files"]}
        for number in range(COUNT):
            assert split[f"0/{number:02d}.png"] == split[f"0/copy{number:02d}.png"]
            assert group[f"0/{number:02d}.png"] == group[f"0/copy{number:02d}.png"]
        assert len(set(group.values())) == 2 * COUNT
    exact = copy is exact_copy
    assert manifest["audit"]["exact_duplicates"] == (COUNT if exact else 0)
    assert manifest["audit"]["near_duplicates"] == (0 if exact else COUNT)
    assert (manifest["split_by"], manifest["grouped_by"], manifest["patients"]) == ("drawn", "copy", None)
    assert len(read_audit(config)) == COUNT


PLANTED = {
    "a patient": lambda data: give(data, patients={"0/00.png": "p", "0/11.png": "p"}),
    "a copy": lambda data: (
        exact_copy(data, "0/00.png", "0/z.png"),
        give(data, more=[("0/z.png", "test", "z")]),
    ),
    "a near copy": lambda data: (
        near_copy(data, "0/00.png", "0/z.png"),
        give(data, more=[("0/z.png", "test", "z")]),
    ),
}


@pytest.mark.parametrize(
    ("planted", "kinds", "files"),
    [
        ("a patient", ["patient_in_two_splits"], ("0/11.png", "0/00.png")),
        ("a copy", ["exact_duplicate", "copy_in_two_splits"], ("0/z.png", "0/00.png")),
        ("a near copy", ["near_duplicate", "copy_in_two_splits"], ("0/z.png", "0/00.png")),
    ],
)
def test_a_given_split_with_a_leak_is_refused_unless_allowed(config, data, planted, kinds, files):
    give(data)
    prepare(config)
    before = {path.name: path.read_bytes() for path in config.PREPROCESSED_DIR.iterdir()}
    PLANTED[planted](data)
    with pytest.raises(
        PreprocessingError, match=rf"{files[0]} and {files[1]} .*test and train.*--allow-leaks"
    ):
        prepare(config, allow=["label_conflicts"])
    after = {path.name: path.read_bytes() for path in config.PREPROCESSED_DIR.iterdir()}
    del after["audit-refused.csv"]
    assert after == before
    assert read_audit(config, "audit-refused.csv") == [(kind, *files) for kind in kinds]
    prepared = prepare(config, allow=["leaks"])
    assert not (config.PREPROCESSED_DIR / "audit-refused.csv").exists()
    assert read_audit(config) == [(kind, *files) for kind in kinds]
    assert prepared.manifest["allowed"] == ["leaks"]
    assert prepared.manifest["grouped_by"] == ("copy" if planted == "a patient" else "patient")
    assert prepared.manifest["patients"] is not None
    audit = prepared.manifest["audit"]
    assert (audit["split_copies"], audit["split_patients"]) == ((0, 1) if planted == "a patient" else (1, 0))


@pytest.mark.parametrize("copy", [exact_copy, near_copy])
def test_one_image_in_two_classes_is_refused_unless_allowed(config, data, copy):
    copy(data, "0/03.png", "1/copy.png")
    with pytest.raises(
        PreprocessingError, match=r"two classes: 1/copy.png and 0/03.png .*--allow-label-conflicts"
    ):
        prepare(config, allow=["leaks"])
    assert [path.name for path in config.PREPROCESSED_DIR.iterdir()] == ["audit-refused.csv"]
    prepare(config, allow=["label_conflicts"])
    assert ("label_conflict", "1/copy.png", "0/03.png") in read_audit(config)


def test_from_the_command_a_leak_is_one_line_status_2_and_its_flag_works(config, data, capsys):
    PLANTED["a patient"](data)
    exact_copy(data, "1/00.png", "0/z.png")
    with (data / "manifest.csv").open("a") as file:
        file.write("0/z.png,train,z\n")
    command = ["--data-dir", str(data), "--out", str(config.PREPROCESSED_DIR), "--input-shape", "64,64"]
    assert main([*command, "--allow-leaks"]) == 2
    assert main(command) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2
    assert errors[0].startswith("error: 1 image is in two classes: 1/00.png and 0/z.png")
    assert "--allow-leaks" in errors[1]
    assert main([*command, "--allow-leaks", "--allow-label-conflicts"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Audit: exact copies 1, copies in another class 1, patients in two splits 1; listed in" in said
    manifest = json.loads((config.PREPROCESSED_DIR / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["audit"] == {
        "exact_duplicates": 1, "near_duplicates": 0, "label_conflicts": 1, "split_copies": 0,
        "split_patients": 1,
    }  # fmt: skip


def test_without_groups_the_manifest_names_none(config, data):
    rows = [f"{label}/{number:02d}.png,{GIVEN[number]}" for label in (0, 1) for number in range(COUNT)]
    (data / "manifest.csv").write_text("\n".join(["file,split", *rows, "0/z.png,test"]) + "\n")
    exact_copy(data, "0/00.png", "0/z.png")
    manifest = prepare(config, allow=["leaks"]).manifest
    assert (manifest["split_by"], manifest["grouped_by"], manifest["patients"]) == ("given", None, None)


def test_copies_across_given_splits_are_named_in_the_terminal(config, data, capsys):
    PLANTED["a near copy"](data)
    command = ["--data-dir", str(data), "--out", str(config.PREPROCESSED_DIR), "--input-shape", "64,64"]
    assert main([*command, "--allow-leaks"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Audit: near copies 1, copies in another split 1; listed in" in said


def test_a_refusal_lists_ten_and_names_the_file_with_all(config, data):
    for number in range(COUNT):
        exact_copy(data, f"0/{number:02d}.png", f"0/z{number:02d}.png")
    give(data, more=[(f"0/z{number:02d}.png", "test", f"z{number}") for number in range(COUNT)])
    with pytest.raises(PreprocessingError, match=r"into training, 9 times: ") as caught:
        prepare(config)
    assert str(caught.value).endswith(f"all are listed in {config.PREPROCESSED_DIR / 'audit-refused.csv'}")
    copies = [kind for kind, *_ in read_audit(config, "audit-refused.csv")]
    assert (copies.count("exact_duplicate"), copies.count("copy_in_two_splits")) == (12, 9)


@pytest.mark.parametrize("planted", ["a copy", "two classes", "an unreadable image"])
def test_a_refusal_names_the_command_with_the_flag(config, data, planted):
    if planted == "two classes":
        exact_copy(data, "0/03.png", "1/copy.png")
    elif planted == "an unreadable image":
        (data / "0/z.png").write_bytes(b"")
    else:
        PLANTED[planted](data)
    with pytest.raises(PreprocessingError) as caught:  # as from the orchestrator, which has no such flag
        prepare(config)
    command, flag = re.findall(r"python (\S+) (--[a-z-]+)", str(caught.value))[0]
    assert command == "preprocessing/load_and_create_dataset.py"
    shape = ["--input-shape", "64,64"]
    assert main([flag, "--data-dir", str(data), "--out", str(config.PREPROCESSED_DIR), *shape]) == 0


def test_copies_are_drawn_together_where_patients_are_unknown(config, data):
    for number in range(COUNT):
        exact_copy(data, f"0/{number:02d}.png", f"0/copy{number:02d}.png")
    prepared = prepare(config)
    for split in ("train", "val", "test"):
        drawn_as = dict(zip(prepared.files(split), prepared.patients(split), strict=True))
        for number in range(COUNT):
            original, copy = f"0/{number:02d}.png", f"0/copy{number:02d}.png"
            assert drawn_as.get(copy) == drawn_as.get(original) in (None, original)
        assert all(drawn_as[file] == file for file in drawn_as if file.startswith("1/"))
    files = [{key: entry[key] for key in ("file", "split", "row")} for entry in prepared.manifest["files"]]
    before = PreparedData(prepared.folder, {"files": files}, "")
    assert before.patients("test") == before.files("test")
    assert not before.has_patients


def test_a_known_patient_takes_precedence_over_the_group(config, data):
    exact_copy(data, "0/00.png", "0/z.png")
    give(data, more=[("0/z.png", "train", "z")])
    prepared = prepare(config)
    drawn_as = dict(zip(prepared.files("train"), prepared.patients("train"), strict=True))
    assert (drawn_as["0/00.png"], drawn_as["0/z.png"]) == ("0-0", "z")


@pytest.mark.parametrize(("near_copies", "listed"), [("check", 1), ("report", 1), ("off", 0)])
def test_near_copies_are_checked_reported_or_not_looked_for(config, data, near_copies, listed):
    PLANTED["a near copy"](data)
    config = config.model_copy(update={"NEAR_COPIES": near_copies})
    prepared = prepare(config, allow=["leaks"])
    assert prepared.manifest["audit"]["near_duplicates"] == listed
    assert prepared.manifest["audit"]["split_copies"] == (near_copies == "check")
    assert prepared.manifest.get("near_copies") == (None if near_copies == "check" else near_copies)

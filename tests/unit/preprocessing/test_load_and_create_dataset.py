import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import albumentations
import cv2
import numpy as np
import pytest

from helpers.global_config import Config
from helpers.settings.errors import ConfigError
from preprocessing.errors import PreprocessingError
from preprocessing.feed.prepared_data import PreparedData
from preprocessing.feed.run_data import data_and_config, prepared_data, with_data_settings
from preprocessing.load_and_create_dataset import main, prepare

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = [sys.executable, "preprocessing/load_and_create_dataset.py"]
SHAPE = (8, 6)


def make_images(folder, count, patient=None):
    """`count` images per class, each of another brightness; class 1 is the brighter half."""
    for label in (0, 1):
        (folder / str(label)).mkdir(parents=True)
        for number in range(count):
            pixels = np.full((*SHAPE, 3), label * 128 + number, np.uint8)
            (folder / str(label) / f"{number:03d}.png").write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    if patient is not None:
        rows = [f"{label}/{number:03d}.png,{patient(number)}" for label in (0, 1) for number in range(count)]
        (folder / "manifest.csv").write_text("\n".join(["file,patient", *rows]) + "\n")
    return folder


@pytest.fixture
def data(tmp_path):
    return make_images(tmp_path / "images", 50)


@pytest.fixture
def config(data, tmp_path):
    return Config(DATA_DIR=data, PREPROCESSED_DIR=tmp_path / "out", INPUT_SHAPE=SHAPE)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def run(*arguments):
    return subprocess.run(
        [*SCRIPT, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_arrays_labels_and_manifest_agree(config):
    prepared = prepare(config)
    assert {split: len(prepared.labels(split)) for split in ("train", "val", "test")} == {
        "train": 64, "val": 6, "test": 30,
    }  # fmt: skip
    seen = []
    for split in ("train", "val", "test"):
        images, labels, files = prepared.images(split), prepared.labels(split), prepared.files(split)
        assert images.dtype == np.uint8
        assert images.shape == (len(labels), *SHAPE, 3)
        assert labels.dtype == np.int32
        assert isinstance(images, np.memmap)
        assert not images.flags.writeable
        for image, label, file in zip(images, labels, files, strict=True):
            assert file.startswith(f"{label}/")
            assert (image == label * 128 + int(file[2:5])).all()
        seen += files
    assert len(set(seen)) == 100
    manifest = prepared.manifest
    assert not prepared.has_patients
    assert manifest["counts"]["test"] == {"0": 15, "1": 15}
    assert manifest["settings"] == {
        "INPUT_SHAPE": [8, 6], "INPUT_DIM": 3, "SEED": 42, "TEST_FRACTION": 0.3, "VALIDATION_FRACTION": 0.1,
    }  # fmt: skip
    for entry in manifest["files"]:
        assert entry["sha256"] == hashlib.sha256((config.DATA_DIR / entry["file"]).read_bytes()).hexdigest()
    assert str(config.DATA_DIR) not in json.dumps(manifest)


def test_same_input_and_seed_give_the_same_bytes_with_any_number_of_threads(config, tmp_path, monkeypatch):
    prepare(config)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    again = config.model_copy(update={"PREPROCESSED_DIR": tmp_path / "again"})
    told = []
    prepare(again, progress=lambda *progress: told.append(progress))
    assert contents(config.PREPROCESSED_DIR) == contents(again.PREPROCESSED_DIR)
    assert ("Reading images", 100, 100) in told
    assert ("Reducing images", 100, 100) in told
    other = config.model_copy(update={"PREPROCESSED_DIR": tmp_path / "other", "SEED": 7})
    assert prepare(other).digest != PreparedData.open(config.PREPROCESSED_DIR).digest


def test_no_patient_is_in_two_splits(tmp_path):
    data = make_images(tmp_path / "images", 60, patient=lambda number: number // 3)
    prepared = prepare(Config(DATA_DIR=data, PREPROCESSED_DIR=tmp_path / "out", INPUT_SHAPE=SHAPE))
    homes = {(entry["patient"], entry["split"]) for entry in prepared.manifest["files"]}
    assert len(homes) == 20
    assert prepared.manifest["grouped_by"] == "patient and copy"
    assert prepared.has_patients


def test_open_is_cached_until_the_manifest_changes(config):
    prepared = prepare(config)
    assert PreparedData.open(config.PREPROCESSED_DIR) is prepared
    before = prepared.images("train")
    assert prepared.images("train") is before
    changed = prepare(config.model_copy(update={"SEED": 1}))
    assert PreparedData.open(config.PREPROCESSED_DIR) is changed
    assert changed.digest != prepared.digest
    assert (changed.images("train") != before).any()


def test_open_names_the_command_when_data_is_missing_or_does_not_fit(config, tmp_path):
    with pytest.raises(PreprocessingError, match=r"not found; .*python preprocessing/load_and_create"):
        PreparedData.open(tmp_path / "nowhere")
    prepare(config)
    manifest = config.PREPROCESSED_DIR / "manifest.json"
    text = manifest.read_text(encoding="utf-8")
    manifest.write_text(text.replace('"format_version": 1', '"format_version": 99'), encoding="utf-8")
    with pytest.raises(PreprocessingError, match="format version 99, expected 1"):
        PreparedData.open(config.PREPROCESSED_DIR)
    manifest.write_text("{", encoding="utf-8")
    with pytest.raises(PreprocessingError, match="damaged"):
        PreparedData.open(config.PREPROCESSED_DIR)
    manifest.write_text(text, encoding="utf-8")
    np.save(config.PREPROCESSED_DIR / "y_val.npy", np.zeros(3, np.int32))
    with pytest.raises(PreprocessingError, match=r"y_val.npy: int32 \(3,\), expected int32 \(6,\)"):
        PreparedData.open(config.PREPROCESSED_DIR)
    (config.PREPROCESSED_DIR / "x_test.npy").unlink()
    (config.PREPROCESSED_DIR / "y_val.npy").unlink()
    with pytest.raises(PreprocessingError, match=r"y_val\.npy: not found"):
        PreparedData.open(config.PREPROCESSED_DIR)


def test_unreadable_images_are_refused_by_name_and_earlier_output_stays(config):
    prepare(config)
    before = contents(config.PREPROCESSED_DIR)
    for number in range(12):
        (config.DATA_DIR / "0" / f"{number:03d}.png").write_bytes(b"")
    with pytest.raises(
        PreprocessingError, match=r"12 of 100 .*0/000.png \(empty file\).* and 2 more; .*--skip-unr"
    ):
        prepare(config)
    assert contents(config.PREPROCESSED_DIR) == before


def test_skip_unreadable_leaves_them_out_and_lists_them(config, capfd):
    (config.DATA_DIR / "0/003.png").write_bytes(b"")
    (config.DATA_DIR / "1/001.png").write_bytes((config.DATA_DIR / "1/002.png").read_bytes()[:-20])
    prepared = prepare(config, skip_unreadable=True)
    assert prepared.manifest["left_out"] == [
        {"file": "0/003.png", "reason": "empty file"},
        {"file": "1/001.png", "reason": "damaged, or not an image"},
    ]
    assert sum(len(prepared.files(split)) for split in ("train", "val", "test")) == 98
    for split in ("train", "val", "test"):
        for image, file in zip(prepared.images(split), prepared.files(split), strict=True):
            assert (image == int(file[0]) * 128 + int(file[2:5])).all()
    assert capfd.readouterr().err == ""


def test_a_class_wholly_unreadable_is_refused(config):
    for path in (config.DATA_DIR / "1").iterdir():
        path.write_bytes(b"")
    with pytest.raises(PreprocessingError, match=r"50 of class 0 \(non-cancerous\), 0 of class 1 \(canc"):
        prepare(config, skip_unreadable=True)


def test_a_full_disk_is_one_clear_error(config, monkeypatch):
    prepare(config)
    before = contents(config.PREPROCESSED_DIR)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(PreprocessingError, match="out: No space left on device; free disk space"):
        prepare(config)
    assert contents(config.PREPROCESSED_DIR) == before


def test_a_crash_while_files_are_moved_leaves_no_manifest(config, monkeypatch):
    prepare(config)
    move = Path.replace

    def crash(path, target):
        if path.name == "x_val.npy":
            raise KeyboardInterrupt
        return move(path, target)

    monkeypatch.setattr(Path, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        prepare(config.model_copy(update={"SEED": 1}))
    assert {path.name for path in config.PREPROCESSED_DIR.iterdir()} == {
        *(f"{kind}_{split}.npy" for kind in "xy" for split in ("train", "val", "test")),
        "audit.csv",
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data-dir", "nowhere"], "error: nowhere: folder not found"),
        (["--data-dir", "{data}", "--test-fraction", "2"], "error: TEST_FRACTION: received '2'"),
        (["--data-dir", "{data}", "--out", "{data}/0/000.png"], "error: "),
    ],
)
def test_a_user_mistake_is_one_line_and_status_2(data, capsys, arguments, message):
    assert main([part.format(data=data) for part in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(message)
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_the_command_runs_as_a_script_and_prints_the_counts(data, tmp_path):
    done = run("--data-dir", data, "--out", tmp_path / "out", "--input-shape", "8,6")
    assert (done.returncode, done.stderr) == (0, "")
    assert "train" in done.stdout
    assert "64" in done.stdout
    assert str(tmp_path / "out") in done.stdout


def test_fewer_patients_than_splits_from_the_command(tmp_path):
    data = make_images(tmp_path / "images", 20, patient=lambda number: number % 2)
    done = run("--data-dir", data, "--out", tmp_path / "out")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: 2 patients cannot be divided among 3 splits")
    assert not (tmp_path / "out").exists()


@pytest.fixture
def many_images(data):
    """A data set that takes seconds: hard links to one noisy image."""
    noise = np.random.default_rng(0).integers(0, 256, (500, 500, 3), np.uint8)
    (data / "noise").write_bytes(cv2.imencode(".png", noise)[1].tobytes())
    for number in range(1000, 7000):
        os.link(data / "noise", data / str(number % 2) / f"{number}.png")
    return data


@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")
@pytest.mark.parametrize("delay", [0.0, 1.1, 2.0])
def test_ctrl_c_ends_with_130_and_leaves_earlier_output(many_images, tmp_path, delay):
    out = tmp_path / "out"
    out.mkdir()
    (out / "manifest.json").write_text("earlier")
    command = [*SCRIPT, "--data-dir", str(many_images), "--out", str(out)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 200
    while not list(out.glob(".preparing-*/all.npy")):
        assert time.monotonic() < deadline, "the preparation did not begin"
        time.sleep(0.01)
    time.sleep(delay)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (130, "interrupted; earlier output is untouched\n")
    assert contents(out) == {"manifest.json": b"earlier"}


@pytest.mark.skipif(sys.platform == "win32", reason="reads POSIX resource usage")
@pytest.mark.parametrize(("side", "few", "many"), [(224, 120, 620), (1024, 10, 40)])
def test_memory_does_not_grow_with_the_number_of_images(tmp_path, side, few, many):
    program = """
import resource, sys
from preprocessing.load_and_create_dataset import main
if __name__ == "__main__":
    assert main(sys.argv[1:]) == 0
    print(max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))
"""
    (tmp_path / "measure.py").write_text(program)
    peaks = []
    for count in (few, many):
        data = tmp_path / str(count)
        for label in ("0", "1"):
            (data / label).mkdir(parents=True)
            for number in range(count):
                pixels = np.random.default_rng([int(label), number]).bytes(64)
                (data / label / f"{number}.pgm").write_bytes(b"P5 8 8 255\n" + pixels)
        command = [sys.executable, str(tmp_path / "measure.py"), "--input-shape", f"{side},{side}"]
        command += ["--data-dir", str(data), "--out", str(data / "out")]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        peaks.append(int(done.stdout.split()[-1]) / 1024 / (1024 if sys.platform == "darwin" else 1))
    arrays = (
        2 * (many - few) * side * side * 3 / 2**20
    )  # MiB by which those of the second are larger: 144, 180
    assert peaks[1] - peaks[0] < arrays / 5


def test_gray_arrays_are_refused_by_a_run_with_color(data, config):
    gray = config.model_copy(update={"INPUT_DIM": 1})
    prepared = prepare(gray)
    assert prepared.images("train").shape == (64, *SHAPE, 1)
    assert prepared.image_shape == (*SHAPE, 1)
    assert prepared.counts()["input_shape"] == [*SHAPE, 1]
    for image, file in zip(prepared.images("val"), prepared.files("val"), strict=True):
        assert (image == int(file[0]) * 128 + int(file[2:5])).all()
    assert prepared_data(gray) is prepared
    with pytest.raises(
        ConfigError,
        match=r"INPUT_DIM: received 3, but the images in .* are 1; .* --input-dim 3 --data-dir .+ --out .+$",
    ):
        prepared_data(config.model_copy(update={"INPUT_DIM": 3}))


def test_a_run_takes_size_channels_and_classes_from_the_images(data, config):
    prepared = prepare(config.model_copy(update={"INPUT_DIM": 1}))
    unset = Config(DATA_DIR=data, PREPROCESSED_DIR=config.PREPROCESSED_DIR, EPOCHS=7)
    assert unset.INPUT_SHAPE != SHAPE
    adapted = with_data_settings(unset, prepared_data(unset))
    assert (adapted.INPUT_SHAPE, adapted.INPUT_DIM, adapted.EPOCHS) == (SHAPE, 1, 7)
    assert adapted.CLASS_NAMES == ("non-cancerous", "cancerous")
    stored = Config.load(
        PREPROCESSED_DIR=config.PREPROCESSED_DIR, **adapted.for_run()
    )  # of a run to be resumed
    assert prepared_data(stored) is prepared
    for name, value in (("INPUT_SHAPE", (64, 64)), ("INPUT_DIM", 3), ("CLASS_NAMES", ("a", "b"))):
        other = Config.load(**{"PREPROCESSED_DIR": config.PREPROCESSED_DIR, name: value})
        with pytest.raises(ConfigError, match=f"{name}: received .*; leave it out, set it to that, or"):
            prepared_data(other)


def test_a_custom_augmentation_is_tried_at_the_size_of_the_images(data, config, tmp_path):
    prepare(config.model_copy(update={"INPUT_SHAPE": (16, 12)}))
    file = tmp_path / "mine.json"
    albumentations.save(albumentations.Compose([albumentations.Resize(16, 12)]), file)
    unset = Config(DATA_DIR=data, PREPROCESSED_DIR=config.PREPROCESSED_DIR, AUGMENTATION=str(file))
    prepared, adapted = data_and_config(unset.model_copy(update={"ARCHITECTURE": "resnet_groupnorm"}))
    assert prepared.image_shape[:2] == adapted.INPUT_SHAPE
    assert "Resize" in adapted.AUGMENTATION


def test_settings_of_the_environment_count_as_set_by_the_user(config, monkeypatch):
    prepare(config)
    monkeypatch.setenv("DT_INPUT_SHAPE", "[64,64]")
    with pytest.raises(ConfigError, match=r"INPUT_SHAPE: received \(64, 64\)"):
        prepared_data(Config(PREPROCESSED_DIR=config.PREPROCESSED_DIR))


def test_the_license_of_an_earlier_manifest_is_read(config):
    prepare(config)
    manifest = config.PREPROCESSED_DIR / "manifest.json"
    content = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**content, "licence": "CC BY 4.0"}))
    assert PreparedData.open(config.PREPROCESSED_DIR).manifest["license"] == "CC BY 4.0"


def test_a_manifest_without_channels_and_classes_has_the_usual_ones(config):
    prepared = prepare(config)
    manifest = config.PREPROCESSED_DIR / "manifest.json"
    content = json.loads(manifest.read_text())
    assert content["classes"] == ["non-cancerous", "cancerous"]
    del content["classes"], content["settings"]["INPUT_DIM"]
    manifest.write_text(json.dumps(content))
    earlier = PreparedData.open(config.PREPROCESSED_DIR)
    assert (earlier.image_shape, earlier.class_names) == (prepared.image_shape, prepared.class_names)


def test_classes_have_the_names_of_their_folders(tmp_path, capsys):
    data = make_images(tmp_path / "images", 20)
    (data / "0").rename(data / "cyst")
    (data / "1").rename(data / "carcinoma")
    command = ["--data-dir", str(data), "--out", str(tmp_path / "out"), "--input-shape", "8,6"]
    assert main(command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "not clear" in line
    assert main([*command, "--positive-class", "carcinoma"]) == 0
    assert "0 cyst ┃ 1 carcinoma" in capsys.readouterr().out
    prepared = PreparedData.open(tmp_path / "out")
    assert prepared.class_names == ("cyst", "carcinoma")
    for label, file in zip(prepared.labels("train"), prepared.files("train"), strict=True):
        assert file.startswith(prepared.class_names[label])


def test_three_classes_by_number_with_and_without_names(tmp_path, capsys):
    data = make_images(tmp_path / "images", 20)
    (data / "2").mkdir()
    for number in range(20):
        pixels = np.full((*SHAPE, 3), 60 + number, np.uint8)
        (data / "2" / f"{number:03d}.png").write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    command = ["--data-dir", str(data), "--out", str(tmp_path / "out"), "--input-shape", "8,6"]
    assert main(command) == 0
    prepared = PreparedData.open(tmp_path / "out")
    assert prepared.class_names == ("0", "1", "2")
    assert prepared.counts()["test"] == [6, 6, 6]
    assert main([*command, "--class-names", "normal,benign,malignant"]) == 0
    said = capsys.readouterr().out
    prepared = PreparedData.open(tmp_path / "out")
    assert prepared.class_names == ("normal", "benign", "malignant")
    train, val, test = (counts[2] for counts in prepared.counts_by_split().values())
    assert f"│ 2 malignant │ {train}    │ {val}   │ {test}    │" in said
    for label, file in zip(prepared.labels("train"), prepared.files("train"), strict=True):
        assert file.startswith(f"{label}/")
    config = Config(PREPROCESSED_DIR=tmp_path / "out", INPUT_SHAPE=SHAPE, CLASS_NAMES=("normal", "ill"))
    with pytest.raises(ConfigError, match=r"CLASS_NAMES: received .*'ill'\), but the images .*--class-names"):
        prepared_data(config)


def test_a_size_of_one_number_is_refused(capsys):
    assert main(["--input-shape", "3"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "error: INPUT_SHAPE: received '3': expected a pair of whole numbers, such as 64,64"


def test_options_of_other_sources_and_unknown_sources_are_refused(config):
    with pytest.raises(
        PreprocessingError, match="--crop-breast: is for --source dicom, received --source fold"
    ):
        prepare(config, options={"crop_breast": True})
    with pytest.raises(PreprocessingError, match="--source: received 'tape', expected one of folder, dicom"):
        prepare(config, "tape")


def test_other_columns_of_the_manifest_are_in_the_prepared_data(data, config):
    files = [f"{label}/{number:03d}.png" for label in (0, 1) for number in range(50)]
    rows = [f"{file},device {int(file[2:5]) % 3}" for file in files]
    (data / "manifest.csv").write_text("\n".join(["file,device", *rows]))
    prepared = prepare(config)
    for split in ("train", "val", "test"):
        expected = [f"device {int(file[2:5]) % 3}" for file in prepared.files(split)]
        assert prepared.column(split, "device") == expected
    assert not any("columns" in entry for entry in prepare_without(data, config).manifest["files"])


def prepare_without(data, config):
    (data / "manifest.csv").unlink()
    return prepare(config)

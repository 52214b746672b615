import csv
import hashlib
import io
import threading
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import cv2
import numpy as np
import pytest

from preprocessing.feed.prepared_data import PreparedData
from preprocessing.load_and_create_dataset import main
from preprocessing.prepare.sources import medmnist

COUNTS = {"train": 12, "val": 6, "test": 6}


def picture(seed, side=28):
    coarse = np.random.default_rng(seed).normal(128, 40, (7, 7))
    return np.clip(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)


def arrays(**changes):
    """A tiny set, labels 0 and 1 in turn; `changes` replace arrays."""
    made, seed = {}, 0
    for split, count in COUNTS.items():
        made[f"{split}_images"] = np.stack([picture(seed + number) for number in range(count)])
        made[f"{split}_labels"] = np.arange(count, dtype=np.uint8).reshape(-1, 1) % 2
        seed += count
    return made | changes


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def save(path, **changes):
    np.savez_compressed(path, **arrays(**changes))
    return path


def damage(path, method, content=None):
    """Write a set whose first array is `content`, or is compressed by this method and then overwritten."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, array in arrays().items():
            written = io.BytesIO()
            np.save(written, array)
            first = content is not None and name == "train_images"
            archive.writestr(f"{name}.npy", content if first else written.getvalue())
    if content is None:
        data = bytearray(path.read_bytes())
        start = data.index(b"train_images.npy") + len("train_images.npy") + 9
        data[start : start + 60] = b"\xff" * 60
        path.write_bytes(data)


def command(*more, dataset="breastmnist"):
    return ["--source", "medmnist", "--dataset", dataset, "--input-shape", "28,28", "--input-dim", "1", *more]


def test_labels_are_swapped_so_that_1_is_malignant_and_noted(place, capsys):
    npz = save(place / "given.npz")
    assert main(command("--npz", str(npz))) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "BreastMNIST: 1 = malignant, 0 = normal, benign. SWAPPED: in the .npz 0 is malignant" in said
    assert "0 normal, benign" in said
    assert "License of the images: CC BY 4.0" in said
    prepared = PreparedData.open(place / "preprocessed")
    assert prepared.class_names == ("normal, benign", "malignant")
    assert prepared.manifest["license"].startswith("CC BY 4.0")
    assert prepared.manifest["options"] == {"dataset": "breastmnist", "npz": "given.npz"}
    assert "SWAPPED" in prepared.manifest["notes"][0]
    original = arrays()
    for split, count in COUNTS.items():
        numbers = [int(file.split("/")[1][:5]) for file in prepared.files(split)]
        assert sorted(numbers) == list(range(count))
        assert [file.split("/")[0] for file in prepared.files(split)] == [split] * count
        assert np.array_equal(prepared.images(split)[..., 0], original[f"{split}_images"][numbers])
        assert np.array_equal(prepared.labels(split), 1 - original[f"{split}_labels"][numbers, 0])
    assert prepared.manifest["split_by"] == "given"
    assert "CC BY 4.0" in (place / "medmnist/breastmnist_128/README.txt").read_text()


def test_labels_with_disease_as_1_stay_and_color_is_kept(place, capsys):
    color = {f"{split}_images": np.stack([arrays()[f"{split}_images"]] * 3, axis=-1) for split in COUNTS}
    color["val_images"][..., 0] //= 2
    npz = save(place / "given.npz", **color)
    more = ("--input-dim", "3", "--data-dir", "here", "--npz", str(npz))
    assert main(command(*more, dataset="pneumoniamnist")) == 0
    assert "SWAPPED" not in capsys.readouterr().out
    prepared = PreparedData.open(place / "preprocessed")
    assert prepared.class_names == ("normal", "pneumonia")
    numbers = [int(file.split("/")[1][:5]) for file in prepared.files("val")]
    assert np.array_equal(prepared.images("val"), color["val_images"][numbers])
    assert np.array_equal(prepared.labels("val"), np.array(numbers) % 2)


def test_official_splits_with_copies_are_refused_with_the_whole_command(place, capsys):
    images = arrays()["test_images"]
    images[0], images[1] = picture(0), picture(2)  # a malignant one of training, and one that now is in both
    npz = save(place / "given.npz", test_images=images)
    words = command("--npz", str(npz))
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    wanted = line.split("or keep all as it is: ")[1].split(";")[0].split()
    assert wanted[-2:] == ["--allow-leaks", "--allow-label-conflicts"]
    assert main(wanted[2:]) == 0
    assert PreparedData.open(place / "preprocessed").manifest["audit"]["split_copies"] == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (command(dataset="chestmnist"), "--dataset: chestmnist is multi-label: an image may show several"),
        (
            command(dataset="nomnist"),
            "--dataset: received 'nomnist', expected one of breastmnist, pneumoniam",
        ),
        (
            command("--class-names", "a,b", dataset="pathmnist"),
            "CLASS_NAMES: received 2 names (a, b), PathMNIST has 9 classes (adipose, background, ",
        ),
        (command("--size", "32"), "--size: received 32, expected 28 or 64 or 128 or 224"),
        (command("--npz", "none.npz"), "none.npz: not found"),
        (command("--npz", "text.npz"), "text.npz: not a file of MedMNIST"),
        (
            command("--npz", "nine.npz"),
            "nine.npz: train has labels from 0 to 8, expected 0 to 1; check that it is",
        ),
        (command("--npz", "flat.npz"), "expected uint8 (N, H, W)"),
        (command("--npz", "half.npz"), "labels float64 (12, 1), expected uint8"),
        (command("--npz", "few.npz"), "few.npz: not a file of MedMNIST (no train_labels)"),
        (command("--npz", "header.npz"), "header.npz: not a file of MedMNIST (("),
        (command("--npz", "lzma.npz"), "lzma.npz: not a file of MedMNIST (Corrupt input data)"),
        (command("--npz", "bzip2.npz"), "bzip2.npz: not a file of MedMNIST (Invalid data stream)"),
        (command("--npz", "thin.npz"), "train has images uint8 (12, 0, 28) and labels"),
        (command("--npz", "wide.npz"), "train has images uint8 (12, 1, 2000) and labels"),
        (command("--npz", "one.npz"), "one.npz: no image of class 1 (normal, benign); check that"),
        (command("--npz", "mine"), "mine: not found; --npz expects a file"),
        (command(dataset=""), "--dataset: is needed for MedMNIST: one of breastmnist, "),
        (
            command("--npz", "good.npz", "--data-dir", "mine"),
            "mine: has other content than “MedMNIST: breast",
        ),
        (
            command("--npz", "mine/good.npz", "--data-dir", "mine"),
            "mine/good.npz is in mine, which will be overwritten",
        ),
        (command("--crop-breast"), "--crop-breast: is for --source dicom, received --source medmnist"),
    ],
)
def test_a_mistake_is_one_line(place, capsys, words, said):
    (place / "text.npz").write_text("no arrays")
    save(place / "good.npz")
    save(place / "nine.npz", train_labels=np.arange(12).reshape(-1, 1) % 9)
    save(place / "flat.npz", train_images=np.zeros((12, 28), np.uint8))
    save(place / "half.npz", train_labels=np.full((12, 1), 0.5))
    damage(place / "header.npz", zipfile.ZIP_STORED, b"\x93NUMPY\x01\x00\x06\x00((((((")
    damage(place / "lzma.npz", zipfile.ZIP_LZMA)
    damage(place / "bzip2.npz", zipfile.ZIP_BZIP2)
    save(place / "thin.npz", train_images=np.zeros((12, 0, 28), np.uint8))
    save(place / "wide.npz", train_images=np.zeros((12, 1, 2000), np.uint8))
    none = {f"{split}_labels": np.zeros((size, 1), int) for split, size in COUNTS.items()}
    save(place / "one.npz", **none)
    np.savez(place / "few.npz", train_images=np.zeros((12, 28, 28), np.uint8))
    (place / "mine").mkdir()
    (place / "mine/mine.txt").touch()
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert (place / "mine/mine.txt").exists()
    assert not (place / "medmnist").exists()


def test_a_set_of_eight_classes(place, capsys):
    labels = {f"{split}_labels": np.arange(16, dtype=np.uint8).reshape(-1, 1) % 8 for split in COUNTS}
    images = {
        f"{split}_images": np.stack([picture(16 * turn + number) for number in range(16)])
        for turn, split in enumerate(COUNTS)
    }
    npz = save(place / "given.npz", **labels, **images)
    words = command("--npz", str(npz), dataset="tissuemnist")
    assert main(words) == 0
    names = medmnist.SETS["tissuemnist"].classes
    prepared = PreparedData.open(place / "preprocessed")
    assert prepared.class_names == names
    assert prepared.counts()["classes"] == list(names)
    assert prepared.counts()["val"] == [2] * 8
    assert prepared.manifest["counts"]["test"] == {str(label): 2 for label in range(8)}
    assert prepared.manifest["notes"] == []
    for split in COUNTS:
        numbers = [int(file.split("/")[1][:5]) for file in prepared.files(split)]
        assert np.array_equal(prepared.labels(split), np.array(numbers) % 8)
        assert np.array_equal(prepared.images(split)[..., 0], images[f"{split}_images"][numbers])
    said = capsys.readouterr().out
    assert "│ 0 Collecting Duct, Connecting Tubule │ 2     │ 2   │ 2    │" in said
    order = f'["{names[7]}", {", ".join(f"{chr(34)}{name}{chr(34)}" for name in names[:7])}]'
    assert main([*words, "--class-names", order]) == 0
    turned = PreparedData.open(place / "preprocessed")
    assert turned.class_names == (names[7], *names[:7])
    numbers = [int(file.split("/")[1][:5]) for file in turned.files("val")]
    assert np.array_equal(turned.labels("val"), (np.array(numbers) + 1) % 8)


def test_every_set_has_its_checksums_and_license(place, capsys):
    for each in medmnist.SETS.values():
        assert tuple(each.checksums) == medmnist.SIZES
        assert all(len(checksum) == 32 for checksum in each.checksums.values())
        assert len(set(each.classes)) == len(each.classes)
    checksums = [checksum for each in medmnist.SETS.values() for checksum in each.checksums.values()]
    assert len(set(checksums)) == 4 * len(medmnist.SETS)
    labels = {f"{split}_labels": np.arange(14, dtype=np.uint8).reshape(-1, 1) % 7 for split in COUNTS}
    images = {
        f"{split}_images": np.stack([picture(14 * turn + number) for number in range(14)])
        for turn, split in enumerate(COUNTS)
    }
    npz = save(place / "given.npz", **labels, **images)
    assert main(command("--npz", str(npz), dataset="dermamnist")) == 0
    assert "License of the images: CC BY-NC 4.0 (MedMNIST" in capsys.readouterr().out
    readme = (place / "medmnist/dermamnist_128/README.txt").read_text()
    assert "License: CC BY-NC 4.0,\nhttps://creativecommons.org/licenses/by-nc/4.0/." in readme


class Server:
    """A server on loopback that has one file and counts how often it was fetched."""

    def __init__(self, name, content):
        self.fetched = 0

        class Handler(BaseHTTPRequestHandler):
            def do_GET(handler):  # noqa: N805
                self.fetched += 1
                handler.send_response(200 if handler.path == f"/{name}" else 404)
                handler.send_header("Content-Length", str(len(content)))
                handler.end_headers()
                handler.wfile.write(content)

            def log_message(handler, *_):  # noqa: N805
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        self.thread = threading.Thread(target=self.server.serve_forever)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def test_a_set_is_downloaded_once_and_checked(place, monkeypatch, capsys):
    content = save(place / "made.npz").read_bytes()
    monkeypatch.setenv("no_proxy", "*")
    with Server("breastmnist_64.npz", content) as server:
        monkeypatch.setattr(medmnist, "RECORD", server.url)
        assert main(command("--size", "64")) == 2  # the published file has another MD5
        assert "MD5" in capsys.readouterr().err
        assert not (place / "medmnist").exists()
        right = {64: hashlib.md5(content).hexdigest()}
        monkeypatch.setitem(
            medmnist.SETS, "breastmnist", medmnist.replace(medmnist.SETS["breastmnist"], checksums=right)
        )
        assert main(command("--size", "64")) == 0
        assert main(command("--size", "64")) == 0
        assert server.fetched == 2
        monkeypatch.setattr(medmnist, "RECORD", server.url + "elsewhere/")
        (place / "medmnist/breastmnist_64.npz").unlink()
        assert main(command("--size", "64")) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "cannot be downloaded (HTTP Error 404: Not Found); fetch it on another machine" in line
    assert (place / "medmnist/breastmnist_64/manifest.csv").exists()


def test_rows_of_the_manifest_name_classes_and_splits(place):
    assert main(command("--npz", str(save(place / "given.npz")), "--data-dir", "here")) == 0
    with (place / "here/manifest.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == sum(COUNTS.values())
    assert rows[0] == {"file": "train/00000.png", "label": "malignant", "split": "train"}


def test_labels_other_than_in_the_npz_are_noted(place, capsys, monkeypatch):
    of_three = replace(medmnist.SETS["octmnist"], name="Three", classes=("a", "b", "c"))
    monkeypatch.setitem(medmnist.SETS, "octmnist", of_three)
    labels = {f"{split}_labels": np.arange(count).reshape(-1, 1) % 3 for split, count in COUNTS.items()}
    npz = str(save(place / "three.npz", **labels))
    assert main(command("--npz", npz, dataset="octmnist")) == 0
    assert "OTHER LABELS" not in capsys.readouterr().out
    assert main(command("--npz", npz, "--class-names", "c,a,b", dataset="octmnist")) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Three: OTHER LABELS than in the .npz, by CLASS_NAMES: 0 c, 1 a, 2 b" in said

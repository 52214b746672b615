"""The store in a folder."""

import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.settings.errors import ConfigError
from helpers.weight_store.codec import (
    LIFETIME_S,
)
from helpers.weight_store.file_store import FileStore
from helpers.weight_store.store import StoreError, WeightStore
from tests.weight_store_contract import StoreContract


class TestFileStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> WeightStore:
        return FileStore(tmp_path / "weights")

    @settings(max_examples=30)
    @given(key=st.text(min_size=1, max_size=20))  # 12 bytes each in a name of at most 255
    def test_no_key_leads_out_of_the_folder(self, tmp_path_factory: pytest.TempPathFactory, key: str) -> None:
        folder = tmp_path_factory.mktemp("around")
        store = FileStore(folder / "weights")
        store.put(key, [b"1"])
        (file,) = (path for path in folder.rglob("*") if path.is_file())
        assert file.parent == folder / "weights"
        assert bytes(store.get(key, 1)) == b"1"
        store.delete([key])
        assert not list((folder / "weights").iterdir())

    def test_a_key_too_long_for_a_file_is_refused(self, store: WeightStore) -> None:
        with pytest.raises(StoreError, match=r"not stored in .*File name too long; fix that, or start"):
            store.put("k" * 300, [b"1"])
        with pytest.raises(StoreError, match="not read from"):
            store.get("k" * 300, 1)

    def test_another_process_finds_what_one_stored(self, store: WeightStore, tmp_path: Path) -> None:
        store.put("key", [b"1"])
        assert bytes(FileStore(tmp_path / "weights").get("key", 1)) == b"1"
        with pytest.raises(
            StoreError, match=r"not in the store .*other .*all workers .* the same WEIGHT_STORE"
        ):
            FileStore(tmp_path / "other").get("key", 1)

    def test_belongs_to_its_owner_alone(self, store: WeightStore, tmp_path: Path) -> None:
        store.put("key", [b"1"])
        modes = [path.stat().st_mode & 0o777 for path in sorted(tmp_path.rglob("*"))]
        assert modes == [0o700, 0o600]

    def test_a_full_disk_leaves_nothing_behind(self, store: WeightStore, tmp_path: Path) -> None:
        store.put("key", [b"1"])

        def data():
            yield b"2" * 100_000
            raise OSError(28, "No space left on device")

        with pytest.raises(
            StoreError, match=f"key: not stored in {tmp_path}/weights: No space left .*DT_WEIGHT_STORE=redis"
        ):
            store.put("key", data())  # type: ignore[arg-type]
        assert bytes(store.get("key", 1)) == b"1"
        assert len(list((tmp_path / "weights").iterdir())) == 1

    def test_what_was_long_not_used_goes_when_a_worker_starts(
        self, store: WeightStore, tmp_path: Path
    ) -> None:
        folder = tmp_path / "weights"
        for key in ("old", "read again", "new"):
            store.put(key, [b"1"])
        (folder / "of_a_killed_worker.unfinished").touch()
        (folder / "notes.txt").touch()
        for file in folder.iterdir():
            os.utime(file, times=(time.time() - LIFETIME_S - 60,) * 2)
        store.put("new", [b"2"])
        store.get("read again", 1)
        FileStore(folder)
        names = {file.name for file in folder.iterdir()}
        assert names == {"read%20again.weights", "new.weights", "notes.txt"}  # the user's file stays

    def test_what_earlier_sessions_of_a_run_left_is_deleted(self, store: WeightStore, tmp_path: Path) -> None:
        for key in ("run:a:old:weights:1", "run:a:new:weights:1", "run:ab:old:weights:1"):
            store.put(key, [b"1"])
        store.delete_others("run:a:", "run:a:new:")
        names = sorted(file.name for file in (tmp_path / "weights").iterdir())
        assert names == ["run%3Aa%3Anew%3Aweights%3A1.weights", "run%3Aab%3Aold%3Aweights%3A1.weights"]

    def test_a_folder_that_cannot_be_created_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(
            ConfigError, match=r"WEIGHT_STORE: the folder .*file/x cannot be used \(Not a directory"
        ):
            FileStore(tmp_path / "file" / "x")

    @pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder that is always read-only")
    def test_a_folder_that_cannot_be_written_is_an_error(self) -> None:
        with pytest.raises(ConfigError, match="WEIGHT_STORE: the folder /proc cannot be used"):
            FileStore(Path("/proc"))

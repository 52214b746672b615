"""Addresses of the Redis servers of commands."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.launcher.own_clusters import announced, own_addresses


def test_addresses_are_announced_while_a_command_uses_them(tmp_path: Path) -> None:
    assert own_addresses(folder=tmp_path / "none") == []
    with announced("redis://127.0.0.1:7000/0", folder=tmp_path):
        assert own_addresses(folder=tmp_path) == ["redis://127.0.0.1:7000/0"]
    assert own_addresses(folder=tmp_path) == []
    (tmp_path / "1.txt").touch()  # a command that was killed while it wrote the address
    assert own_addresses(folder=tmp_path) == []
    (tmp_path / "1.txt").unlink()
    (tmp_path / "file").touch()
    with announced("redis://127.0.0.1:7000/0", folder=tmp_path / "file"):
        assert own_addresses(folder=tmp_path / "file") == []


def test_a_training_is_found_by_the_folder_of_its_models(tmp_path: Path) -> None:
    with announced("redis://127.0.0.1:7000/0", Path("models"), tmp_path / "in-use"):
        assert own_addresses(Path.cwd() / "models", tmp_path / "in-use") == ["redis://127.0.0.1:7000/0"]
        assert own_addresses(tmp_path / "models", tmp_path / "in-use") == []


@pytest.mark.skipif(os.name != "posix", reason="asks for processes as POSIX does")
def test_what_killed_commands_left_is_deleted(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    here = socket.gethostname()
    names = [f"{here}-{ended.pid}.txt", f"{here}-{os.getppid()}.txt", f"elsewhere-{ended.pid}.txt"]
    for name in names:
        (tmp_path / name).write_text("redis://127.0.0.1:7000/0")
    with announced("redis://127.0.0.1:7001/0", folder=tmp_path):
        assert len(own_addresses(folder=tmp_path)) == 2
        left = {file.name for file in tmp_path.iterdir()}
    assert left == {*names[1:], f"{here}-{os.getpid()}.txt"}


def test_an_address_with_a_password_is_not_announced(tmp_path: Path) -> None:
    with announced("redis://:hush@127.0.0.1:7000/0", folder=tmp_path):
        assert not list(tmp_path.iterdir())

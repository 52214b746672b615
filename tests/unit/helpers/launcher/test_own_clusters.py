"""Addresses of the Redis servers of commands."""

from pathlib import Path

from helpers.launcher.own_clusters import announced, own_addresses


def test_addresses_are_announced_while_a_command_uses_them(tmp_path: Path) -> None:
    assert own_addresses(tmp_path / "none") == []
    with announced("redis://127.0.0.1:7000/0", tmp_path):
        assert own_addresses(tmp_path) == ["redis://127.0.0.1:7000/0"]
    assert own_addresses(tmp_path) == []
    (tmp_path / "file").touch()
    with announced("redis://127.0.0.1:7000/0", tmp_path / "file"):
        assert own_addresses(tmp_path / "file") == []

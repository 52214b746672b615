"""Runs that ask for the approval of a site's owner."""

import json
from pathlib import Path
from typing import Any

from helpers.federated.messages import Order
from helpers.sites.policy import OrderRefused


class Approvals:
    """Runs that asked for the owner's approval, and those that have it: one file of each run.

    Args:
        folder: of the site's own files.
    """

    MOST = 100
    """Runs that may wait for approval, so that senders cannot fill the disk."""

    def __init__(self, folder: Path) -> None:
        self._asked = folder / "asked"
        self._approved = folder / "approved"

    def check(self, order: Order) -> None:
        """Refuse an order of a run that is not approved with exactly these settings.

        Raises:
            OrderRefused: with the command that approves it.
        """
        if _read(self._approved, order.run) == order.settings:
            return
        if len(self.waiting()) < self.MOST or order.run in self.waiting():
            self._asked.mkdir(parents=True, exist_ok=True)
            _write(self._asked, order.run, order.settings)
        raise OrderRefused(
            f"run {order.run} is not approved with these settings; the site's owner can approve it with "
            f"`python run.py approve {order.run}`"
        )

    def waiting(self) -> list[str]:
        """Return the runs that asked for approval and do not have it."""
        names = sorted(file.stem for file in self._asked.glob("*.json"))
        return [name for name in names if self.asked(name) != _read(self._approved, name)]

    def asked(self, run: str) -> dict[str, Any] | None:
        """Return the settings for which a run asked approval; None if it did not ask."""
        return _read(self._asked, run)

    def approve(self, run: str, settings: dict[str, Any]) -> None:
        """Approve a run with these settings."""
        self._approved.mkdir(parents=True, exist_ok=True)
        _write(self._approved, run, settings)


def _read(folder: Path, run: str) -> dict[str, Any] | None:
    file = folder / f"{run}.json"
    if not file.exists():
        return None
    settings: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return settings


def _write(folder: Path, run: str, settings: dict[str, Any]) -> None:
    """Write the file whole: the other process reads the old one or the new one."""
    new = folder / f"{run}.json.new"
    new.write_text(json.dumps(settings, indent=1, sort_keys=True), encoding="utf-8")
    new.replace(folder / f"{run}.json")

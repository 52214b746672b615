"""Which sites take part in a round: those that live at its start."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from helpers.federated.cohort import Cohort, sample_clients
from helpers.federated.messages import RunState
from helpers.federated.quorum import clients_needed
from helpers.federated.sites.site import Site, usable_sites

Workers = Mapping[str, Mapping[str, Any]]


class SiteChooser:
    """Chooses the cohort of every round. A site's id is its place in the order in which the run met it.

    Args:
        wait_for_workers: waits until its argument finds nothing lacking among the live workers; returns them.
        min_clients: MIN_CLIENTS; a number is waited for, a fraction is of the sites known so far.
        input_shape: INPUT_SHAPE and INPUT_DIM.
        class_names: of the run.
        fraction: part of the live sites that takes part, in (0, 1].
        seed: of the drawing.
        notice: told who is there, who has left, who came, and who is left out and why.
    """

    def __init__(
        self,
        wait_for_workers: Callable[[Callable[[Workers], str]], Workers],
        min_clients: float,
        input_shape: tuple[int, int, int],
        class_names: Sequence[str],
        fraction: float,
        seed: int,
        notice: Callable[[str], None],
    ) -> None:
        self._wait_for_workers = wait_for_workers
        self._min_clients = min_clients
        self._input_shape = input_shape
        self._class_names = class_names
        self._fraction = fraction
        self._seed = seed
        self._notice = notice
        self._before: set[str] = set()
        self._told: set[str] = set()

    def choose(self, state: RunState) -> Cohort:
        """The cohort of the round after `state`, which begins now."""
        round_number = state.round + 1
        cohort = self.live(state, f"round {round_number}")
        clients = sample_clients(cohort.clients, self._fraction, self._seed, round_number)
        return replace(cohort, clients=clients)

    def live(self, state: RunState, occasion: str) -> Cohort:
        """All live sites; waits until there are as many as needed.

        Args:
            state: names the sites known so far.
            occasion: what they are needed for, in words.

        Returns:
            A cohort whose `sites` are those known so far and, after them, new ones in order of their names.
        """
        known = [Site.from_message(message) for message in state.sites]
        workers = self._wait_for_workers(lambda workers: self._lacking(workers, known))
        found, refused = self._usable(workers, known)
        names = {site.name for site in known}
        sites = known + [site for name, site in found.items() if name not in names]
        for sentence in [f"{reason}. It is left out" for reason in refused] + self._gaps(found):
            self._say_once(sentence)
        self._tell(occasion, set(found))
        clients = [client for client, site in enumerate(sites) if site.name in found]
        return Cohort(len(sites), clients, [site.to_message() for site in sites])

    def _usable(self, workers: Workers, known: list[Site]) -> tuple[dict[str, Site], list[str]]:
        told = {name: status.get("site") for name, status in workers.items()}
        return usable_sites(told, known, self._input_shape, self._class_names)

    def _lacking(self, workers: Workers, known: list[Site]) -> str:
        found, refused = self._usable(workers, known)
        number = len(known) if self._min_clients < 1 else math.ceil(self._min_clients)
        needed = clients_needed(self._min_clients, number)
        if len(found) >= needed:
            return ""
        reasons = "".join(f"; {reason}" for reason in refused)
        there = ", ".join(found) or "none"
        return f"MIN_CLIENTS={self._min_clients:g} asks for {needed} live sites, there are: {there}{reasons}"

    def _gaps(self, found: dict[str, Site]) -> list[str]:
        """A sentence for each site whose validation lacks a class."""
        missing = {
            name: [self._class_names[label] for label, count in enumerate(site.val) if not count]
            for name, site in found.items()
        }
        return [
            f"site {name}: no validation image of {', '.join(classes)}: where scores stay at the sites, it "
            "has no part in the mean AUC"
            for name, classes in missing.items()
            if classes
        ]

    def _say_once(self, sentence: str) -> None:
        if sentence not in self._told:
            self._told.add(sentence)
            self._notice(sentence)

    def _tell(self, occasion: str, found: set[str]) -> None:
        came, left = sorted(found - self._before), sorted(self._before - found)
        changes = [f"{name} has left" for name in left]
        changes += [f"{name} has come" for name in came] if self._before else []
        if changes or not self._before:
            said = f"{'; '.join(changes)}. There are: " if changes else ""
            self._notice(f"{occasion}: sites: {said}{', '.join(sorted(found))}")
        self._before = found

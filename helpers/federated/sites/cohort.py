"""The cohort of a round whose clients are sites: those alive at its start."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from helpers.federated.cohort import Cohort, sample_clients
from helpers.federated.quorum import clients_needed
from helpers.federated.results import RunState
from helpers.federated.sites.site import Site, usable_sites

Workers = Mapping[str, Mapping[str, Any]]


class SiteChooser:
    """Chooses the cohort of every round. A site's id is its position in the order in which sites joined the
    run.

    Args:
        wait_for_workers: waits until its argument, given the live workers, returns an empty text; returns
            them.
        min_clients: MIN_CLIENTS; a fraction is one of the sites known so far.
        input_shape: INPUT_SHAPE and INPUT_DIM.
        class_names: of the run.
        fraction: fraction of the live sites that takes part, in (0, 1].
        seed: of the sampling.
        notice: receives a line when sites join, leave or are left out.
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
        self._said: set[str] = set()

    def choose(self, state: RunState) -> Cohort:
        """Return the cohort of the round after `state`."""
        round_number = state.round + 1
        cohort = self.live(state, f"round {round_number}")
        clients = sample_clients(cohort.clients, self._fraction, self._seed, round_number)
        return replace(cohort, clients=clients)

    def live(self, state: RunState, occasion: str) -> Cohort:
        """Wait until enough sites are alive, and return a cohort of all live ones.

        Args:
            state: names the sites known so far; new ones follow them, in order of their names.
            occasion: what the sites are needed for, for the notice.
        """
        known = [Site.from_message(message) for message in state.sites]
        workers = self._wait_for_workers(lambda workers: self._lacking(workers, known))
        live, refused = self._usable(workers, known)
        names = {site.name for site in known}
        sites = known + [site for name, site in live.items() if name not in names]
        for sentence in [f"{reason}. It is left out" for reason in refused] + self._gaps(live):
            self._say_once(sentence)
        self._announce(occasion, set(live))
        clients = [client for client, site in enumerate(sites) if site.name in live]
        return Cohort(len(sites), clients, [site.to_message() for site in sites])

    def _usable(self, workers: Workers, known: list[Site]) -> tuple[dict[str, Site], list[str]]:
        shown = {name: status.get("site") for name, status in workers.items()}
        return usable_sites(shown, known, self._input_shape, self._class_names)

    def _lacking(self, workers: Workers, known: list[Site]) -> str:
        live, refused = self._usable(workers, known)
        number = len(known) if self._min_clients < 1 else math.ceil(self._min_clients)
        needed = clients_needed(self._min_clients, number)
        if len(live) >= needed:
            return ""
        reasons = "".join(f"; {reason}" for reason in refused)
        names = ", ".join(live) or "none"
        return f"MIN_CLIENTS={self._min_clients:g} needs {needed} live sites; alive: {names}{reasons}"

    def _gaps(self, live: dict[str, Site]) -> list[str]:
        """Return a sentence for each site whose validation images lack a class."""
        missing = {
            name: [self._class_names[label] for label, count in enumerate(site.val) if not count]
            for name, site in live.items()
        }
        return [
            f"site {name} has no validation image of {', '.join(classes)}: if scores stay at the sites, it "
            "does not count in the mean AUC"
            for name, classes in missing.items()
            if classes
        ]

    def _say_once(self, sentence: str) -> None:
        if sentence not in self._said:
            self._said.add(sentence)
            self._notice(sentence)

    def _announce(self, occasion: str, live: set[str]) -> None:
        came, left = sorted(live - self._before), sorted(self._before - live)
        changes = [f"{name} left" for name in left]
        changes += [f"{name} joined" for name in came] if self._before else []
        if changes or not self._before:
            said = f"{'; '.join(changes)}. Alive: " if changes else ""
            self._notice(f"{occasion}: sites: {said}{', '.join(sorted(live))}")
        self._before = live

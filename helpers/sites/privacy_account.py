"""Account of the privacy that a site's trainings have spent, which the site keeps itself."""

import sqlite3
from pathlib import Path

from helpers.federated.messages import Order, TrainOrder
from helpers.federated.sites.messages import SiteTestOrder
from helpers.global_config import Config
from helpers.privacy.accountant import exceeds, total_epsilon
from helpers.privacy.mechanism import mechanism_of
from helpers.sites.audit import AuditLog, settings_digest
from helpers.sites.policy import FILE as POLICY_FILE
from helpers.sites.policy import OrderRefused, Policy

FILE = "privacy.sqlite"
CREATE = """
CREATE TABLE IF NOT EXISTS spent (run TEXT PRIMARY KEY, settings TEXT, noise REAL, rate REAL, steps INTEGER)
"""
SPEND = """
INSERT INTO spent VALUES (?, ?, ?, ?, ?) ON CONFLICT (run) DO UPDATE SET steps = steps + excluded.steps
"""


class PrivacyAccount:
    """The private trainings of a site in all runs, in a file that all its workers share.

    A training counts before it begins, since its update may be read whatever becomes of it. A file that is
    damaged or has disappeared stops private trainings: what was spent is not known. It is made with the first
    private training, as long as the audit log names none.

    Args:
        folder: of the site's own files.
        policy: with the bound of ε.
    """

    def __init__(self, folder: Path, policy: Policy) -> None:
        self._file, self._policy = folder.absolute() / FILE, policy
        self._audit = AuditLog(folder)

    def spend(self, order: Order, num_images: int) -> float | None:
        """Count a training before it begins.

        Args:
            order: that the rest of the policy allows.
            num_images: training images of the site.

        Returns:
            ε of all runs, with this training; None for an order that does not train privately.

        Raises:
            OrderRefused: the training would exceed a budget, or does not fit the run.
            ConfigError: no noise meets the run's budget, or dp-accounting is not installed.
        """
        config = Config.from_run(order.settings)
        if not isinstance(order, TrainOrder) or config.DP != "example":
            if _trains(order) and self._policy.max_epsilon < float("inf"):
                raise OrderRefused(f"DP={config.DP}: {POLICY_FILE} has max_epsilon, which needs DP=example")
            return None
        if config.DP_DELTA * num_images >= 1:
            raise OrderRefused(f"DP_DELTA={config.DP_DELTA:g}: expected below 1 / {num_images}")
        if not 1 <= order.round <= config.EPOCHS:
            raise OrderRefused(f"round {order.round} of a run with EPOCHS={config.EPOCHS}")
        is_new = not any("epsilon" in entry for entry in self._audit.entries())
        self._file.parent.mkdir(parents=True, exist_ok=True)
        try:
            database = sqlite3.connect(self._file, timeout=60)
            try:
                with database:
                    database.execute("BEGIN IMMEDIATE")
                    if is_new:
                        database.execute(CREATE)
                    return self._spend(database, order, config, num_images)
            finally:
                database.close()
        except sqlite3.Error as error:
            raise OrderRefused(
                f"what these images have spent of their privacy is not known: {self._file} cannot be used "
                f"({error}); put the file back as it was after the last training"
            ) from None

    def _spend(
        self, database: sqlite3.Connection, order: TrainOrder, config: Config, num_images: int
    ) -> float:
        training = mechanism_of(dict(config), num_images)
        entry = order.run, settings_digest(order), training.noise_multiplier, training.sampling_rate
        database.execute(SPEND, (*entry, training.num_steps))
        (*known, steps) = database.execute("SELECT * FROM spent WHERE run = ?", (order.run,)).fetchone()
        if tuple(known) != entry:
            raise OrderRefused(
                f"run {order.run} had other settings or images before; a private run keeps them: start one "
                "of another name"
            )
        kinds = "SELECT noise, rate, SUM(steps) FROM spent GROUP BY noise, rate"
        total = total_epsilon(database.execute(kinds).fetchall(), self._policy.delta)
        budget = config.DP_TARGET_EPSILON
        of_run = total_epsilon([(*entry[2:], steps)], config.DP_DELTA)
        if exceeds(budget, of_run):
            raise OrderRefused(
                f"with this training run {order.run} would spend ε = {of_run:.3g} at this site, more than "
                f"DP_TARGET_EPSILON={budget:g}"
            )
        if not total <= self._policy.max_epsilon:
            raise OrderRefused(
                f"with this training all runs would spend ε = {total:.3g} at δ = {self._policy.delta:g}: "
                f"{POLICY_FILE} has max_epsilon = {self._policy.max_epsilon:g}"
            )
        return total


def _trains(order: Order) -> bool:
    return isinstance(order, TrainOrder) or (isinstance(order, SiteTestOrder) and order.initial is not None)

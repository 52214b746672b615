"""Values that follow from several settings, and checks that need more than the settings."""

from typing import TYPE_CHECKING, Literal

from helpers.architectures import ARCHITECTURES, OWN
from helpers.federated.quorum import sample_size
from helpers.federated.strategies import Strategy
from helpers.settings.base import SettingsBase
from helpers.settings.errors import ConfigError
from helpers.settings.strategy_rules import make_strategy
from helpers.settings.types import USUAL_CLASS_NAMES


class DerivedSettings(SettingsBase):
    """Values and checks of a config; the settings that they read are declared in the class Config."""

    if TYPE_CHECKING:
        INPUT_SHAPE: tuple[int, int]
        num_workers: int | Literal["auto"]
        BASE_LR: float
        ARCHITECTURE: str
        LR_SCALING: str
        NUM_CLIENTS: int
        CLIENT_FRACTION: float
        CLIENTS: tuple[int, ...]
        PARTITION: str
        THRESHOLD: str
        DATA_AT: str
        CLASS_NAMES: tuple[str, ...]

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, in order of the labels."""
        return self.CLASS_NAMES or USUAL_CLASS_NAMES

    @property
    def learning_rate(self) -> float:
        """The clients' learning rate after LR_SCALING."""
        if self.LR_SCALING == "none" or self.num_workers == "auto":  # check_auto refuses both together
            return self.BASE_LR
        return self.BASE_LR * self.num_workers

    @property
    def strategy(self) -> Strategy:
        """The strategy that STRATEGY names; it has no state.

        Raises:
            ConfigError: this machine does not allow it, or it cannot be used.
        """
        return make_strategy({**dict(self), "learning_rate": self.learning_rate})

    @property
    def num_clients(self) -> int | None:
        """Number of clients; None if the live workers or the sites determine it."""
        if self.NUM_CLIENTS:
            return self.NUM_CLIENTS
        if self.num_workers == "auto" or self.DATA_AT == "sites" or self.PARTITION == "site":
            return None
        return self.num_workers

    def clients_of(self, num_clients: int | None) -> list[int]:
        """Return the ids of the clients that may take part, ascending.

        Args:
            num_clients: number of clients; None if it is not known yet.

        Raises:
            ConfigError: CLIENTS has an id that is too large.
        """
        if num_clients is not None and any(client >= num_clients for client in self.CLIENTS):
            raise ConfigError(
                f"CLIENTS: received {self.CLIENTS}, the number of clients is {num_clients}; use ids below"
            )
        return sorted(self.CLIENTS) or list(range(num_clients or 0))

    @property
    def cohort_size(self) -> int | None:
        """Number of clients in a round; None if the live workers or the sites determine it."""
        if self.num_clients is None:
            return None
        return sample_size(len(self.clients_of(self.num_clients)), self.CLIENT_FRACTION)

    def check_input_shape(self) -> None:
        """Refuse images that are too small for the network; they can be prepared at any size.

        Raises:
            ConfigError: naming the least size.
        """
        least = ARCHITECTURES.get(self.ARCHITECTURE, OWN).least_side
        if min(self.INPUT_SHAPE) < least:
            raise ConfigError(
                f"INPUT_SHAPE: received {self.INPUT_SHAPE}: ARCHITECTURE={self.ARCHITECTURE} needs at least "
                f"{least}x{least} pixels; prepare larger images, or use another network"
            )

    def check_threshold(self) -> None:
        """Refuse a threshold rule with more than two classes.

        Raises:
            ConfigError: THRESHOLD is not at its default.
        """
        if len(self.class_names) > 2 and self.THRESHOLD != type(self).THRESHOLD:
            raise ConfigError(
                f"THRESHOLD: received {self.THRESHOLD!r}: with {len(self.class_names)} classes the most "
                "probable one is the decision; leave THRESHOLD at its default"
            )

"""Base classes of Config: loading and checking settings, and the values that follow from several of them."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, cast

from pydantic import ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from helpers.architectures import ARCHITECTURES, OWN
from helpers.federated.learning_rates import Schedule, rate_factor
from helpers.federated.quorum import sample_size
from helpers.federated.strategies import Strategy
from helpers.settings.description import Description, describe, is_local
from helpers.settings.errors import ConfigError
from helpers.settings.loading import explain, read_environment, read_file
from helpers.settings.names import accept_former_names, current_names
from helpers.settings.recipes import read_recipe
from helpers.settings.strategy_rules import make_strategy
from helpers.settings.types import USUAL_CLASS_NAMES

RUNS_KEPT = 8


class SettingsBase(BaseSettings):
    """Frozen settings that are validated when they are made.

    Attributes:
        rules: functions that check several settings together and raise ConfigError.
    """

    model_config = SettingsConfigDict(extra="forbid", frozen=True)
    rules: ClassVar[tuple[Callable[[Any], None], ...]] = ()

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        """Let `Config.EPOCHS` give the default, as in a plain class of constants."""
        for name, field in cls.model_fields.items():
            setattr(cls, name, field.default)

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        for rule in self.rules:
            rule(self)
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources, the first one winning."""
        return init_settings, InitSettingsSource(settings_cls, dict(read_environment(cls.model_fields)))

    @classmethod
    def load(cls, file: Path | None = None, **values: Any) -> Self:
        """Make a config from a recipe, the file, the environment and `values`, later ones winning.

        Args:
            file: a TOML file with settings by name.
            **values: settings by name; strings are parsed.

        Raises:
            ConfigError: naming the setting, the value received and what is allowed.
        """
        values = accept_former_names(values)
        above = read_environment(cls.model_fields) | values
        below = {} if file is None else read_file(file, cls.model_fields)
        below = read_recipe(str((below | above).get("RECIPE", "")), cls.model_fields) | below
        return cls._of({name: value for name, value in below.items() if name not in above} | values)

    @classmethod
    def _of(cls, values: dict[str, Any]) -> Self:
        """Make a config of values above the environment; ConfigError as `load`."""
        try:
            return cls(**values)
        except ValidationError as error:
            raise ConfigError("; ".join(explain(each, cls.model_fields) for each in error.errors())) from None

    @classmethod
    def from_run(cls, settings: dict[str, Any]) -> Self:
        """Return the config of a run on this machine; equal settings are validated once per process.

        Raises:
            ConfigError: as `load`.
        """
        return cast("Self", config_of_run(cls, json.dumps(settings, sort_keys=True)))

    def for_run(self) -> dict[str, Any]:
        """Return the settings that travel with a run, JSON-ready."""
        return self.model_dump(mode="json", include=set(self.run_setting_names()))

    @classmethod
    def run_setting_names(cls) -> frozenset[str]:
        """Return the names of the settings that travel with a run."""
        return _run_setting_names(cls)

    @classmethod
    def describe(cls, name: str) -> Description:
        """Return a setting in words."""
        return describe(cls.model_fields[name])


@functools.lru_cache(RUNS_KEPT)
def config_of_run(settings: type[SettingsBase], values: str) -> SettingsBase:
    """Return the config of a run, from JSON. The environment cannot change in the life of a process.

    The settings of its RECIPE are in the JSON, so the recipe is needed only where the run was started. A
    setting that is not in the JSON has its default, whatever the environment of this machine says.
    """
    names = settings.run_setting_names()
    defaults = {name: field.default for name, field in settings.model_fields.items() if name in names}
    return settings._of(defaults | current_names(json.loads(values)))


@functools.cache
def _run_setting_names(settings: type[SettingsBase]) -> frozenset[str]:
    return frozenset(name for name, field in settings.model_fields.items() if not is_local(field))


class DerivedSettings(SettingsBase):
    """Values and checks of a config; the settings that they read are declared in the class Config."""

    if TYPE_CHECKING:
        INPUT_SHAPE: tuple[int, int]
        num_workers: int | Literal["auto"]
        BASE_LR: float
        ARCHITECTURE: str
        LR_SCALING: str
        LR_SCHEDULE: Schedule
        LR_WARMUP_ROUNDS: int
        LR_STEP_ROUNDS: int
        LR_STEP_FACTOR: float
        EPOCHS: int
        NUM_CLIENTS: int
        CLIENT_FRACTION: float
        CLIENTS: tuple[int, ...]
        PARTITION: str
        THRESHOLD: str
        DATA_AT: str
        CLASS_NAMES: tuple[str, ...]
        PRETRAINED: str
        BATCH_NORM: str

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

    def learning_rate_in(self, round_number: int) -> float:
        """Return the clients' learning rate in a round, by LR_SCHEDULE."""
        if self.LR_SCHEDULE == "constant" and not self.LR_WARMUP_ROUNDS:
            return self.learning_rate
        factor = rate_factor(
            self.LR_SCHEDULE, round_number, self.EPOCHS, warmup_rounds=self.LR_WARMUP_ROUNDS,
            step_rounds=self.LR_STEP_ROUNDS, step_factor=self.LR_STEP_FACTOR,
        )  # fmt: skip
        return self.learning_rate * factor

    @property
    def trains_batch_norm(self) -> bool:
        """Whether batch normalization is trained, in the layers that are."""
        if self.BATCH_NORM != "auto":
            return self.BATCH_NORM != "frozen"
        return self.PRETRAINED == "none" or not ARCHITECTURES.get(self.ARCHITECTURE, OWN).has_body

    @property
    def strategy(self) -> Strategy:
        """The strategy that STRATEGY names, made once per process; ConfigError if it cannot be used here."""
        return _strategy_of(self)

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


@functools.lru_cache(RUNS_KEPT)
def _strategy_of(config: DerivedSettings) -> Strategy:
    return make_strategy(dict(config))

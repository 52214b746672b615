"""The base class of the settings: how a config is loaded, checked, sent with a run and received."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Self, cast

from pydantic import ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from helpers.settings.description import Description, describe, is_local
from helpers.settings.errors import ConfigError
from helpers.settings.loading import explain, read_environment, read_file
from helpers.settings.names import accept_former_names, current_names

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
        """Make a config from all sources: the file, the environment and `values`, later ones winning.

        Args:
            file: a TOML file with settings by name.
            **values: settings by name; strings are parsed.

        Raises:
            ConfigError: naming the setting, the value received and what is allowed.
        """
        values = accept_former_names(values)
        if file is not None:
            above = read_environment(cls.model_fields) | values
            values |= {
                name: value for name, value in read_file(file, cls.model_fields).items() if name not in above
            }
        try:
            return cls(**values)
        except ValidationError as error:
            raise ConfigError("; ".join(explain(each, cls.model_fields) for each in error.errors())) from None

    @classmethod
    def from_run(cls, settings: dict[str, Any]) -> Self:
        """Return the config of a run on this machine; equal settings are validated once per process.

        Args:
            settings: those of the run, JSON-ready; the local settings come from this machine.

        Raises:
            ConfigError: as `load`.
        """
        return cast("Self", config_of_run(cls, json.dumps(current_names(settings), sort_keys=True)))

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
    """Return the config of a run, from JSON. The environment cannot change in the life of a process."""
    return settings.load(**json.loads(values))


@functools.cache
def _run_setting_names(settings: type[SettingsBase]) -> frozenset[str]:
    return frozenset(name for name, field in settings.model_fields.items() if not is_local(field))

"""The policy of a site, which no order can change: what a run may ask of it."""

import math
import tomllib
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from helpers.architectures import ARCHITECTURES
from helpers.federated.messages import Order, TrainOrder
from helpers.global_config import Config
from helpers.settings.errors import ConfigError
from helpers.settings.names import no_such

FILE = "site.toml"
STRICT = ConfigDict(extra="forbid", frozen=True)


class OrderRefused(Exception):
    """An order that the site does not allow; the text says which rule and what can be done."""


class Bound(BaseModel):
    """Allowed values of a setting of a run.

    Attributes:
        least, most: of a number.
        one_of: the values, as in a settings file.
    """

    model_config = STRICT

    least: float | None = None
    most: float | None = None
    one_of: list[Any] | None = None

    def allows(self, value: Any) -> bool:
        """Return whether a value is within the bound; `least` and `most` allow numbers only."""
        if self.one_of is not None and value not in self.one_of:
            return False
        if self.least is None and self.most is None:
            return True
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        least = -math.inf if self.least is None else self.least
        most = math.inf if self.most is None else self.most
        return is_number and least <= value <= most


class Policy(BaseModel):
    """Rules of a site; the defaults apply without a file.

    Attributes:
        architectures: allowed values of ARCHITECTURE. An own function must also be in OWN_ARCHITECTURES.
        least_images: fewest images of which an update may consist.
        may_stop_early: whether an update may leave the site before a whole epoch.
        orders_per_hour: most orders that the site carries out in an hour.
        needs_approval: whether a run must be approved at the site.
        max_epsilon: most privacy that trainings may spend, over all runs. With it, each needs `DP=example`.
        delta: the probability with which the guarantee `max_epsilon` may fail.
        keep_models: whether the last models of a run and their test stay in the site's folder.
        settings: bounds by setting.
    """

    model_config = STRICT

    architectures: list[str] = Field(default_factory=lambda: list(ARCHITECTURES))
    least_images: int = Field(default=16, ge=2)
    may_stop_early: bool = False
    orders_per_hour: int = Field(default=240, ge=1)
    needs_approval: bool = False
    max_epsilon: float = Field(default=math.inf, gt=0)
    delta: float = Field(default=1e-5, gt=0, lt=1)
    keep_models: bool = False
    settings: dict[str, Bound] = {}

    @field_validator("settings")
    @classmethod
    def _are_settings_of_a_run(cls, bounds: dict[str, Bound]) -> dict[str, Bound]:
        known = Config.run_setting_names()
        for name in bounds:
            if name not in known:
                raise ValueError(no_such("setting of a run", name, sorted(known)))
        return bounds

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return the policy of `site.toml` in a site's folder; the defaults if there is none.

        Raises:
            ConfigError: the file cannot be read, naming the rule that is wrong.
        """
        file = folder / FILE
        try:
            return cls(**tomllib.loads(file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return cls()
        except ValidationError as error:
            problem = error.errors()[0]
            rule = ".".join(map(str, problem["loc"]))
            raise ConfigError(f"{file}: {rule}: {problem['msg']}, received {problem['input']!r}") from None
        except (OSError, ValueError) as error:
            raise ConfigError(f"{file}: {error}") from None

    def check(self, order: Order, site: dict[str, Any]) -> None:
        """Refuse an order whose settings the policy does not allow.

        Args:
            order: for this site.
            site: description of the site's images: `classes`, `input_shape` and counts of `train`.

        Raises:
            OrderRefused: naming the rule.
            ConfigError: the order's settings are wrong.
        """
        config = Config.from_run(order.settings)
        shape = [*config.INPUT_SHAPE, config.INPUT_DIM]
        for name, asked, own in (
            ("CLASS_NAMES", list(config.class_names), site["classes"]),
            ("INPUT_SHAPE and INPUT_DIM", shape, site["input_shape"]),
        ):
            if asked != own:
                raise OrderRefused(f"{name}: the order has {asked}, the site's images {own}")
        if config.ARCHITECTURE not in self.architectures:
            allowed = ", ".join(self.architectures)
            raise OrderRefused(f"ARCHITECTURE={config.ARCHITECTURE}: {FILE} allows {allowed}")
        values = config.for_run()
        for name, bound in self.settings.items():
            if not bound.allows(values[name]):
                limits = ", ".join(f"{kind} = {limit}" for kind, limit in bound if limit is not None)
                raise OrderRefused(f"{name}={values[name]}: {FILE} has {limits}")
        if isinstance(order, TrainOrder):
            self._check_images(sum(site["train"]))

    def check_early_stop(self, num_images: int, num_train: int) -> None:
        """Refuse the update of a training that stopped early.

        Args:
            num_images: those that it has seen, repeated ones counted again.
            num_train: training images of the site.

        Raises:
            OrderRefused: it may not leave.
        """
        if num_images < num_train and not self.may_stop_early:
            raise OrderRefused(
                f"the training stopped after {num_images} of {num_train} images, and {FILE} has "
                "may_stop_early = false; the run needs a longer ROUND_DEADLINE_S"
            )
        self._check_images(min(num_images, num_train))

    def _check_images(self, num_images: int) -> None:
        if num_images < self.least_images:
            raise OrderRefused(
                f"an update of {num_images} images may not leave: {FILE} has least_images = "
                f"{self.least_images}"
            )

"""Search space of `run.py tune`: settings, and the values that are tried."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from helpers.global_config import Config
from helpers.settings.command_line import option_of
from helpers.settings.errors import UserError
from helpers.settings.names import no_such

if TYPE_CHECKING:
    import optuna

FORM = "NAME=1e-5..1e-2:log, NAME=0.5..0.99, NAME=8..64 or NAME=a,b,c"
SPAN = re.compile(r"(?P<low>[^.].*?)\.\.(?P<high>[^:]+)(?P<log>:log)?")
AS_SET = "as set"
"""Name of the settings as they are, among the trials."""
FIXED = ("SEED", "EPOCHS", "INPUT_SHAPE", "INPUT_DIM", "CLASS_NAMES", "DATA_AT", "RECIPE")
"""Settings that decide images, budget or kind of the training: trials could not be compared."""


@dataclass(frozen=True)
class Search:
    """The values of one setting that are tried.

    Attributes:
        name: of the setting.
        choices: all values; empty for a span.
        low, high: ends of a span, both included.
        is_log: whether the span is searched on a logarithmic scale.
        is_whole: whether its values are whole numbers.
    """

    name: str
    choices: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    is_log: bool = False
    is_whole: bool = False

    @classmethod
    def of(cls, text: str) -> Self:
        """Read `NAME=values`.

        Raises:
            UserError: it is something else, or the setting cannot be tuned.
        """
        word, sign, values = text.partition("=")
        name = word.strip().upper().replace("-", "_")
        names = {known.upper(): known for known in Config.run_setting_names() - set(FIXED)}
        if name not in names:
            raise UserError(f"--search {text}: {no_such('setting', word, list(names), '--help')}")
        if not sign or not values:
            raise UserError(f"--search {text}: expected {FORM}")
        name, span = names[name], SPAN.fullmatch(values)
        if span is None:
            return cls(name, choices=_choices(text, values))
        kind = Config.model_fields[name].annotation
        if kind not in (int, float):
            raise UserError(f"--search {text}: {name} is not a number; list its values: NAME=a,b,c")
        try:
            low, high = (kind(span[end]) for end in ("low", "high"))
        except ValueError:
            raise UserError(f"--search {text}: expected {FORM}") from None
        if not low < high or (span["log"] and low <= 0):
            raise UserError(f"--search {text}: the first value must be the lower one, and above 0 with :log")
        return cls(name, low=low, high=high, is_log=bool(span["log"]), is_whole=kind is int)

    def suggest(self, trial: "optuna.trial.Trial") -> Any:
        """Return a value of a trial."""
        if self.choices:
            return trial.suggest_categorical(self.name, self.choices)
        if self.is_whole:
            return trial.suggest_int(self.name, int(self.low), int(self.high), log=self.is_log)
        return trial.suggest_float(self.name, self.low, self.high, log=self.is_log)

    def ends(self) -> Sequence[Any]:
        """Return values that show whether all are allowed."""
        number = int if self.is_whole else float
        return self.choices or (number(self.low), number(self.high))


def options_of(values: dict[str, Any]) -> list[str]:
    """Return settings as options of a training."""
    return [f"{option_of(name)}={_as_text(value)}" for name, value in sorted(values.items())]


def _as_text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _choices(text: str, values: str) -> tuple[str, ...]:
    choices = tuple(value.strip() for value in values.split(","))
    if len(set(choices)) < len(choices) or len(choices) < 2 or not all(choices):
        raise UserError(f"--search {text}: expected at least two different values: {FORM}")
    return choices

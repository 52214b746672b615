"""What is measured: values a turn, their median and range, and what was asked for."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Measurement:
    """What one contender did.

    Attributes:
        part: such as `round`.
        what: what was done, the same for all contenders of a comparison.
        contender: who did it.
        unit: of the values.
        values: one a turn (or a round, or a process).
        reference: the contender it is compared with; empty for none.
        ratio: its median divided by the reference's.
    """

    part: str
    what: str
    contender: str
    unit: str
    values: tuple[float, ...]
    reference: str = ""
    ratio: float | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def __str__(self) -> str:
        text = f"{self.what}: {self.contender}: {shown(self.median)} {self.unit}"
        if len(self.values) > 1:
            text += f" ({shown(min(self.values))}–{shown(max(self.values))}, {len(self.values)} values)"
        return text if self.ratio is None else f"{text}, {self.ratio:.3f} × {self.reference}"


@dataclass(frozen=True)
class Target:
    """What issue and README ask for, and what was measured.

    Attributes:
        part: as of a measurement.
        asked: what of, in words.
        limit: at most, or `at_least`.
        measured: None where it could not be measured.
        unit: of both; `×` for a ratio.
    """

    part: str
    asked: str
    limit: float
    measured: float | None
    unit: str
    at_least: bool = False

    @property
    def bound(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.limit:g} {self.unit}".rstrip()

    @property
    def verdict(self) -> str:
        if self.measured is None:
            return "not measured"
        met = self.measured >= self.limit if self.at_least else self.measured <= self.limit
        return "met" if met else "missed"

    def __str__(self) -> str:
        measured = "–" if self.measured is None else f"{shown(self.measured)} {self.unit}".rstrip()
        return f"target: {self.asked}: asked {self.bound}, measured {measured}: {self.verdict}"


@dataclass(frozen=True)
class Curve:
    """Numbers over a number, to be drawn.

    Attributes:
        title, x, y: what it shows, and its axes with their units.
        lines: a contender's points (x, y).
    """

    title: str
    x: str
    y: str
    lines: Mapping[str, Sequence[tuple[float, float]]]


class Record:
    """What a part found; every line is told as it comes.

    Args:
        part: its name.
        tell: receives one line.
    """

    def __init__(self, part: str, tell: Callable[[str], None]) -> None:
        self.part = part
        self.measurements: list[Measurement] = []
        self.targets: list[Target] = []
        self.curves: list[Curve] = []
        self.notes: list[str] = []
        self._tell = tell

    def progress(self, text: str) -> None:
        """Say what is being done."""
        self._tell(f"  … {text}")

    def note(self, text: str) -> None:
        """Keep a remark, such as why a contender was left out."""
        self.notes.append(text)
        self._tell(f"  note: {text}")

    def add(
        self,
        what: str,
        contender: str,
        unit: str,
        values: Sequence[float],
        reference: Measurement | None = None,
    ) -> Measurement:
        """Keep what a contender did, and compare it with the reference."""
        median = statistics.median(values)
        ratio = None if reference is None or not reference.median else median / reference.median
        name = "" if reference is None else reference.contender
        found = Measurement(self.part, what, contender, unit, tuple(values), name, ratio)
        self.measurements.append(found)
        self._tell(f"  {found}")
        return found

    def target(
        self, asked: str, limit: float, measured: float | None, unit: str, *, at_least: bool = False
    ) -> None:
        """Keep what was asked for and what came of it."""
        found = Target(self.part, asked, limit, measured, unit, at_least)
        self.targets.append(found)
        self._tell(f"  {found}")


def shown(value: float) -> str:
    """A number with four digits that count."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"

"""Measurements with their median and range, and targets."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Measurement:
    """The values of one contender.

    Attributes:
        part: such as `round`.
        what: the work, the same for all contenders of a comparison.
        contender: its name.
        unit: of the values.
        values: one for each turn, round or process.
        reference: the contender it is compared with, or empty.
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
    """A limit and what was measured.

    Attributes:
        part: as of a measurement.
        asked: the quantity, in words.
        limit: greatest value that is allowed, or least with `at_least`.
        measured: None if it could not be measured.
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
    """Curves to be drawn.

    Attributes:
        title, x, y: heading, and the axes with their units.
        lines: a contender's points (x, y).
    """

    title: str
    x: str
    y: str
    lines: Mapping[str, Sequence[tuple[float, float]]]


class Record:
    """The results of a part; each line is printed as it comes.

    Args:
        part: its name.
        on_line: receives one line.
    """

    def __init__(self, part: str, on_line: Callable[[str], None]) -> None:
        self.part = part
        self.measurements: list[Measurement] = []
        self.targets: list[Target] = []
        self.curves: list[Curve] = []
        self.notes: list[str] = []
        self._on_line = on_line

    def progress(self, text: str) -> None:
        """Report the current step."""
        self._on_line(f"  … {text}")

    def note(self, text: str) -> None:
        """Add a remark, such as why a contender was left out."""
        self.notes.append(text)
        self._on_line(f"  note: {text}")

    def add(
        self,
        what: str,
        contender: str,
        unit: str,
        values: Sequence[float],
        reference: Measurement | None = None,
    ) -> Measurement:
        """Add the values of a contender and return them compared with the reference."""
        median = statistics.median(values)
        ratio = None if reference is None or not reference.median else median / reference.median
        name = "" if reference is None else reference.contender
        measurement = Measurement(self.part, what, contender, unit, tuple(values), name, ratio)
        self.measurements.append(measurement)
        self._on_line(f"  {measurement}")
        return measurement

    def target(
        self, asked: str, limit: float, measured: float | None, unit: str, *, at_least: bool = False
    ) -> None:
        """Add a target."""
        target = Target(self.part, asked, limit, measured, unit, at_least)
        self.targets.append(target)
        self._on_line(f"  {target}")


def shown(value: float) -> str:
    """Return a number with four significant digits."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"

"""Matplotlib figures as inline SVG with the colors of the page, so that one picture fits dark and light mode.

Figures are drawn in placeholder colors; in the SVG each becomes a CSS variable of `templates/style.css`.
"""

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, GRID, PAPER = "#010101", "#010102", "#010103", "#010104"
SERIES = tuple(f"#0102{number:02d}" for number in range(1, 7))
DASHES = ("-", "--", "-.", ":")
VARIABLES = {INK: "--ink", MUTED: "--muted", GRID: "--grid", PAPER: "--paper"} | {
    color: f"--series-{number}" for number, color in enumerate(SERIES, 1)
}
HALF = (4.4, 3.3)  # inches; two fit next to each other
LEGEND_LINE = 0.19  # inches
LONGEST_NAME = 30  # letters
MOST_NAMES = 8
STYLE: Any = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # names of workers and files are not formulas
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": GRID,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "lines.linewidth": 1.8,
    "lines.markersize": 4,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "legend.labelcolor": INK,
    "hatch.color": PAPER,
    "hatch.linewidth": 1.0,
}


@dataclass(frozen=True)
class Picture:
    """A picture of a page.

    Attributes:
        svg: the SVG element, safe to insert.
        is_wide: takes the full width and scrolls on a phone.
    """

    svg: Markup
    is_wide: bool = False


@contextmanager
def drawing() -> Iterator[None]:
    """Use the style of the page for figures drawn in this context."""
    import matplotlib as mpl

    with mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about glyphs that only the browser has
        yield


def new_figure(
    size: tuple[float, float] = HALF, left: float = 0.62, bottom: float = 0.5, top: float = 0.3
) -> "Figure":
    """Return an empty figure without pyplot; `size` and the margins for labels are in inches."""
    from matplotlib.figure import Figure

    figure = Figure(size)
    width, height = size
    figure.subplots_adjust(
        left=left / width, right=1 - 0.12 / width, bottom=bottom / height, top=1 - top / height
    )
    return figure


def new_axes(xlabel: str, ylabel: str, lines_below: int = 0) -> "tuple[Figure, Axes]":
    """Return a figure of half the page's width with axes, and room below for lines of a legend."""
    room = lines_below * LEGEND_LINE
    figure = new_figure((HALF[0], HALF[1] + room), bottom=0.5 + room)
    axes = figure.add_subplot()
    axes.set(xlabel=xlabel, ylabel=ylabel)
    return figure, axes


def line_style(number: int) -> tuple[str, str]:
    """Return color and dashes of one of several curves; the first 24 differ."""
    return SERIES[number % len(SERIES)], DASHES[(number + number // 12) % len(DASHES)]


def shortened(name: str) -> str:
    """Shorten a name to the room in a legend."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def several_shortened(names: Sequence[str]) -> str:
    """Shorten a list of names to the room in a table cell: the first names, and the number of all."""
    shown = ", ".join(map(shortened, names[:MOST_NAMES]))
    return shown if len(names) <= MOST_NAMES else f"{shown}, … ({len(names)})"


def to_picture(figure: "Figure", name: str, alt: str, *, is_wide: bool = False) -> Picture:
    """Render a figure as SVG; equal figures give equal text.

    Args:
        figure: drawn within `drawing()`.
        name: unique among the pictures of a page, because SVG ids derive from it.
        alt: text alternative for the picture.
        is_wide: see Picture.
    """
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' id="[A-Za-z0-9.]+_\d+"', "", svg)  # of groups; referenced ids have no underscore
    svg = re.sub(r"\n\s*", "\n", svg)
    for color, variable in VARIABLES.items():
        svg = svg.replace(color, f"var({variable})")
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{escape(alt)}" ', 1)
    return Picture(Markup(svg), is_wide)

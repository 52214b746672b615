"""Plots of the results, in the colors of Okabe and Ito, which color-blind people can distinguish."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.records import Curve, Measurement, Target, shown

BLUE, ORANGE, GREEN, RED, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
OTHERS = (ORANGE, GREEN, PURPLE, SKY, RED)
REFERENCE, GRAY = "#000000", "#999999"
COLORS = {
    "ours, fast": GREEN,
    "ours, file": GREEN,
    "ours": BLUE,
    "floor, process": GRAY,
    "Flower": ORANGE,
}
"""Colors by the beginning of a contender's name; the reference is black."""
MARKERS = "osD^v"
WIDTH = 9.0
DPI = 130


def plot_part(path: Path, measurements: Sequence[Measurement]) -> None:
    """Draw a panel for each comparison: medians as dots, ranges as lines, axes from zero."""
    panels: dict[str, list[Measurement]] = {}
    for row in measurements:
        panels.setdefault(row.what, []).append(row)
    heights = [0.6 + 0.32 * len(rows) for rows in panels.values()]
    figure = Figure(figsize=(WIDTH, sum(heights) + 0.5), layout="constrained")
    axes = figure.subplots(len(panels), squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
    for axis, (what, rows) in zip(axes, panels.items(), strict=True):
        top = max(max(row.values) for row in rows)
        for place, row in enumerate(rows):
            low, high = min(row.values), max(row.values)
            color = _color(row, place)
            axis.plot(
                [low, high], [place, place], color=color, linewidth=3, solid_capstyle="round", alpha=0.5
            )
            axis.plot([row.median], [place], MARKERS[place % len(MARKERS)], color=color, markersize=7)
            ratio = "" if row.ratio is None else f"   {row.ratio:.2f} ×"
            axis.annotate(
                f"{shown(row.median)}{ratio}",
                (high, place),
                (8, 0),
                textcoords="offset points",
                va="center",
            )
        axis.set_yticks(range(len(rows)), [textwrap.fill(row.contender, 32) for row in rows], fontsize=9)
        axis.set_ylim(len(rows) - 0.4, -0.6)
        axis.set_xlim(0, (top or 1) * 1.2)
        axis.set_title(f"{what} ({rows[0].unit})", loc="left", fontsize=10)
        quieten(axis)
    figure.savefig(path, dpi=DPI)


def _color(row: Measurement, place: int) -> str:
    for beginning, color in COLORS.items():
        if row.contender.startswith(beginning):
            return color
    return REFERENCE if not row.reference else OTHERS[place % len(OTHERS)]


def plot_targets(path: Path, targets: Sequence[Target]) -> None:
    """Draw each target as a share of its limit; left of 1 it is met."""
    shown_targets = [target for target in targets if target.measured is not None]
    figure = Figure(figsize=(WIDTH, 1 + 0.34 * max(1, len(shown_targets))), layout="constrained")
    axis = figure.subplots()
    for place, target in enumerate(shown_targets):
        share = _share_of_limit(target)
        color = BLUE if target.verdict == "met" else RED
        axis.plot([1, share], [place, place], color=color, linewidth=2)
        axis.plot([share], [place], "o" if target.verdict == "met" else "X", color=color, markersize=8)
        text = f"{target.verdict}: {shown(target.measured or 0)} {target.unit}, asked {target.bound}"
        axis.annotate(
            text, (max(1, share), place), (10, 0), textcoords="offset points", va="center", fontsize=8
        )
    axis.axvline(1, color=REFERENCE, linewidth=1)
    axis.set_yticks(
        range(len(shown_targets)), [textwrap.fill(target.asked, 46) for target in shown_targets], fontsize=8
    )
    axis.set_ylim(len(shown_targets) - 0.4, -0.6)
    axis.set_xscale("log")
    axis.margins(x=0.45)
    axis.set_title("Targets: measured as a share of the limit (● met, ✕ missed)", loc="left", fontsize=10)
    quieten(axis)
    figure.savefig(path, dpi=DPI, bbox_inches="tight")  # long labels may reach beyond the figure


def _share_of_limit(target: Target) -> float:
    """Return the share of the limit, between 0.01 and 100; below 1 the target is met."""
    measured = target.measured or 0.0
    share = target.limit / max(measured, 1e-9) if target.at_least else measured / target.limit
    return min(100.0, max(0.01, share))


def plot_curve(path: Path, curve: Curve) -> None:
    """Draw curves on logarithmic axes, where a line of slope 1 means proportional."""
    figure = Figure(figsize=(WIDTH * 0.75, 4.2), layout="constrained")
    axis = figure.subplots()
    colors = (REFERENCE, BLUE, *OTHERS)
    for number, (name, points) in enumerate(curve.lines.items()):
        xs, ys = zip(*sorted(points), strict=True)
        axis.plot(xs, ys, MARKERS[number % len(MARKERS)] + "-", color=colors[number], label=name)
        for x, y in points:
            axis.annotate(shown(y), (x, y), (4, 6), textcoords="offset points", fontsize=8)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel(curve.x)
    axis.set_ylabel(curve.y)
    axis.set_title(curve.title, loc="left", fontsize=10)
    axis.legend(frameon=False)
    quieten(axis)
    figure.savefig(path, dpi=DPI)


def quieten(axis: object) -> None:
    """Hide two of the four edges and most of the grid."""
    axis.spines[["top", "right"]].set_visible(False)  # type: ignore[attr-defined]
    axis.grid(axis="x", color=GRAY, alpha=0.3)  # type: ignore[attr-defined]
    axis.set_axisbelow(True)  # type: ignore[attr-defined]

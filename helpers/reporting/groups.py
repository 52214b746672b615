"""Groups of images: the forest plot of their metrics, and the group that the model does worst on."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from helpers.reporting.page import number
from helpers.reporting.pictures import INK, MUTED, SERIES, Picture, new_figure, shortened, to_picture
from helpers.reporting.tables import NAMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN = ("roc_auc", "recall", "specificity")
LINE = 0.21  # inches

Row = Mapping[Any, Any]
"""A row of groups.csv. The first one of a split is that of all images, without a column."""
Lines = list[tuple[str, Row | None]]
"""What is written to the left of the plot, and the row that is drawn there; None for the name of a column."""


def worst_group(rows: Sequence[Row]) -> Row | None:
    """Return the group with the lowest AUC among those that are not too small; None without one."""
    usable = [row for row in rows if row["column"] and not row["note"] and row["roc_auc"] == row["roc_auc"]]
    return min(usable, key=lambda row: float(row["roc_auc"]), default=None)


def describe_worst(rows: Sequence[Row]) -> str:
    """Describe the group that the model does worst on, and whether that may be chance."""
    every, worst = rows[0]["roc_auc"], worst_group(rows)
    if worst is None:
        return "No group has enough patients of each class to say how the model does on it."
    if worst["roc_auc"] >= every:
        return f"No group has a lower AUC than all images, {number(every)}."
    judged = "is below" if worst["roc_auc_high"] < every else "includes"
    chance = "" if worst["roc_auc_high"] < every else ", so the difference may be chance"
    return (
        f"Worst group: {worst['column']} {worst['value']}, AUC {number(worst['roc_auc'])} "
        f"({number(worst['roc_auc_low'])} to {number(worst['roc_auc_high'])}) on "
        f"{number(worst['num_examples'], 0)} images, against {number(every)} on all. Its interval {judged} "
        f"the AUC of all images{chance}. Of many groups one is always the worst."
    )


def draw_forest(rows: Sequence[Row], name: str) -> Picture:
    """Draw AUC, sensitivity and specificity of each group with their intervals, and those of all images.

    Groups that are too small to say are gray and hollow.
    """
    lines: Lines = [("all images", rows[0])]
    for column, members in groupby(rows[1:], key=lambda row: str(row["column"])):
        lines.append((shortened(column), None))
        lines += [(f"{shortened(row['value'])}  ({row['num_examples']:.0f})", row) for row in members]
    left = 0.3 + 0.075 * max(len(text) for text, _ in lines)
    figure = new_figure((9.0, 0.95 + LINE * len(lines)), left=left, top=0.35)
    panels = figure.subplots(1, len(SHOWN), sharey=True)
    for axes, metric in zip(panels, SHOWN, strict=True):
        _draw_panel(axes, metric, lines)
    panels[0].set_yticks(range(len(lines)), [text for text, _ in lines])
    for label, (_, row) in zip(panels[0].get_yticklabels(), lines, strict=True):
        if row is None:
            label.set(fontweight="bold", color=INK)
    alt = (
        f"AUC, sensitivity and specificity on {name} by group; the AUC of all images is "
        f"{number(rows[0]['roc_auc'])}"
    )
    return to_picture(figure, f"groups-{name}", alt, is_wide=True)


def _draw_panel(axes: "Axes", metric: str, lines: Lines) -> None:
    for y, (_, row) in enumerate(lines):
        if row is None or row[metric] != row[metric]:
            continue
        color = MUTED if row["note"] else SERIES[0] if row["column"] else INK
        low, high = row[f"{metric}_low"], row[f"{metric}_high"]
        fill = "none" if row["note"] else color
        axes.plot([low, high], [y, y], color=color, linewidth=1.2, clip_on=False)
        axes.plot([row[metric]], [y], "o", color=color, markerfacecolor=fill, clip_on=False)
        if y == 0:
            axes.axvline(row[metric], linestyle=":", color=MUTED, linewidth=1)
    axes.set(xlim=(0, 1), ylim=(len(lines) - 0.4, -0.6), xlabel=NAMES[metric])
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)

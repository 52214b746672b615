"""Curves over the rounds, of one run with its clients or of several runs."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from helpers.reporting.pictures import (
    MUTED,
    SERIES,
    Picture,
    line_style,
    new_axes,
    shortened,
    to_picture,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_auc(
    rounds: pd.DataFrame, clients: pd.DataFrame, best_round: int | None, *, is_binary: bool
) -> Picture:
    """Draw the validation AUC of the averaged model, and the range of the clients' own models."""
    figure, axes = new_axes("round", "validation AUC" if is_binary else "validation AUC, mean over classes")
    _draw_band(axes, clients, "val_roc_auc", "clients, lowest to highest")
    _plot(axes, rounds["round"], rounds["roc_auc"], SERIES[0], "averaged model")
    if rounds["ema_roc_auc"].notna().any():
        _plot(axes, rounds["round"], rounds["ema_roc_auc"], SERIES[0], "average over the rounds", "--")
    alt = "Validation AUC per round"
    if best_round is not None:
        best = rounds.loc[rounds["round"] == best_round, ["roc_auc", "ema_roc_auc"]].max().max()
        axes.plot([best_round], [best], "o", markersize=10, mfc="none", mec=SERIES[0], mew=1.5)
        alt += f"; the best is that of round {best_round} with {best:.3f}"
    _finish(axes, rounds["round"])
    return to_picture(figure, "auc", alt)


def draw_losses(rounds: pd.DataFrame, clients: pd.DataFrame, *, is_binary: bool) -> Picture:
    """Draw training and validation loss, and the range of the clients' own models on validation."""
    figure, axes = new_axes("round", "binary cross-entropy" if is_binary else "cross-entropy")
    _draw_band(axes, clients, "val_loss", "clients, validation")
    _plot(axes, rounds["round"], rounds["train_loss"], SERIES[2], "training", "--")
    _plot(axes, rounds["round"], rounds["val_loss"], SERIES[0], "validation")
    _finish(axes, rounds["round"])
    last = rounds.iloc[-1]
    alt = f"Losses per round; last: training {last['train_loss']:.3f}, validation {last['val_loss']:.3f}"
    return to_picture(figure, "losses", alt)


def draw_rates(rounds: pd.DataFrame) -> Picture:
    """Draw sensitivity and specificity at threshold 0.5."""
    figure, axes = new_axes("round", "validation, at threshold 0.5")
    _plot(axes, rounds["round"], rounds["recall"], SERIES[1], "sensitivity (recall)")
    _plot(axes, rounds["round"], rounds["specificity"], SERIES[0], "specificity", "--")
    axes.set_ylim(-0.03, 1.03)
    _finish(axes, rounds["round"])
    return to_picture(figure, "rates", "Sensitivity and specificity on validation per round at threshold 0.5")


def draw_class_recalls(rounds: pd.DataFrame, classes: pd.DataFrame) -> Picture:
    """Draw the recall of each of more than two classes."""
    labels = classes["class"].drop_duplicates()
    figure, axes = new_axes("round", "validation, recall of each class", lines_below=len(labels))
    for number, label in enumerate(labels):
        rows = classes[classes["class"] == label]
        color, dashes = line_style(number)
        _plot(axes, rows["round"], rows["recall"], color, shortened(rows["name"].iloc[0]), dashes)
    axes.set_ylim(-0.03, 1.03)
    _finish(axes, rounds["round"], has_legend_below=True)
    return to_picture(figure, "recalls", "Recall of each class on validation per round")


def draw_calibration_errors(rounds: pd.DataFrame) -> Picture:
    """Draw Brier score and calibration error."""
    figure, axes = new_axes("round", "validation, lower is better")
    _plot(axes, rounds["round"], rounds["brier_score"], SERIES[0], "Brier score")
    _plot(axes, rounds["round"], rounds["calibration_error"], SERIES[3], "calibration error", "--")
    axes.set_ylim(bottom=0)
    _finish(axes, rounds["round"])
    return to_picture(figure, "calibration", "Brier score and calibration error on validation per round")


def draw_runs(tables: Mapping[str, pd.DataFrame], column: str, label: str) -> Picture:
    """Draw one column of rounds.csv for several runs."""
    figure, axes = new_axes("round", label, lines_below=len(tables))
    for number, (run, rounds) in enumerate(tables.items()):
        color, dashes = line_style(number)
        _plot(axes, rounds["round"], rounds[column], color, shortened(run), dashes)
    _finish(axes, pd.concat([table["round"] for table in tables.values()]), has_legend_below=True)
    return to_picture(figure, column, f"{label} per round for the runs {', '.join(tables)}")


def _draw_band(axes: "Axes", clients: pd.DataFrame, column: str, label: str) -> None:
    """Shade the range from the lowest to the highest client per round, if recorded."""
    local = clients.groupby("round")[column].agg(["min", "max"]).dropna()
    if len(local):
        low, high = local["min"], local["max"]
        axes.fill_between(local.index, low, high, color=SERIES[1], alpha=0.25, linewidth=0, label=label)
        for edge in (low, high):
            axes.plot(local.index, edge, color=SERIES[1], linewidth=0.8)


def _plot(
    axes: "Axes", x: "pd.Series[float]", y: "pd.Series[float]", color: str, label: str, dashes: str = "-"
) -> None:
    if y.notna().any():
        axes.plot(x, y, dashes, color=color, label=label, marker="o" if len(x) <= 30 else "")


def _finish(axes: "Axes", rounds: "pd.Series[float]", *, has_legend_below: bool = False) -> None:
    """Format the axes and add the legend, above the curves or where `new_axes` left room for its lines.

    Write a note if no value is recorded.
    """
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.set_xlim(rounds.min() - 0.3, rounds.max() + 0.3)
    handles, _ = axes.get_legend_handles_labels()
    if handles and has_legend_below:
        axes.figure.legend(loc="lower center")
    elif handles:
        axes.legend(
            loc="lower left", bbox_to_anchor=(-0.02, 0.98), ncols=2, borderaxespad=0, handlelength=1.8
        )
    else:
        axes.text(0.5, 0.5, "not recorded in this run", transform=axes.transAxes, ha="center", color=MUTED)

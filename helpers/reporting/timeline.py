"""Timeline of the rounds: when each client waited, transferred weights and trained."""

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pandas as pd

from helpers.reporting.pictures import MUTED, PAPER, SERIES, Picture, new_figure, to_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_LANES = 600
ACTIVITIES = {  # name: color, opacity, hatch
    "waiting": (MUTED, 0.22, ""),
    "transfer": (SERIES[4], 1.0, ""),
    "training": (SERIES[0], 1.0, ""),
    "aggregation and evaluation": (SERIES[2], 1.0, "..."),
    "failed or missing": (SERIES[1], 1.0, "////"),
}
Bar = tuple[float, float, float, float]
"""Left and right end in seconds after dispatch, upper and lower end in lanes."""


def client_bars(row: "pd.Series[Any]", end: float, lane: float) -> list[tuple[str, Bar]]:
    """Return the bars of one client in one round.

    Args:
        row: of clients.csv; half of `transfer_seconds` is drawn before the training and half after.
        end: start of the aggregation, seconds after dispatch.
        lane: upper end of the bars.
    """
    if math.isnan(row["started_at"]) or row["status"] == "missing":
        return [("failed or missing", (0, end, lane, lane + 0.8))]
    start, stop = row["started_at"], row["started_at"] + row["seconds"]
    half = 0.0 if math.isnan(row["transfer_seconds"]) else row["transfer_seconds"] / 2
    pieces = [("waiting", 0.0, start), ("waiting", stop, end)]
    if row["status"] == "failed":
        pieces.append(("failed or missing", start, stop))
    else:
        pieces += [("transfer", start, start + half), ("training", start + half, stop - half)]
        pieces.append(("transfer", stop - half, stop))
    return [(what, (left, right, lane, lane + 0.8)) for what, left, right in pieces if right > left]


def round_end(row: "pd.Series[Any]", clients: pd.DataFrame) -> tuple[float, float]:
    """Return start and end of a round's aggregation; the start defaults to the last client's end."""
    last = float((clients["started_at"] + clients["seconds"]).max())
    begin = row["aggregation_started_at"]
    begin = last if math.isnan(begin) else float(begin)
    return begin, max(begin, float(row["seconds"]))


def draw_timeline(rounds: pd.DataFrame, clients: pd.DataFrame) -> tuple[Picture, int]:
    """Draw the last rounds below each other; return the picture and the first round in it."""
    per_round = max(1, int(clients.groupby("round").size().max()))
    first = int(rounds["round"].max() - max(1, MOST_LANES // per_round) + 1)
    first = max(first, int(rounds["round"].min()))
    bars: dict[str, list[Bar]] = defaultdict(list)
    lanes: dict[float, str] = {}
    heads: dict[float, str] = {}
    top = 0.0
    for _, row in rounds[rounds["round"] >= first].iterrows():
        members = clients[clients["round"] == row["round"]]
        begin, end = round_end(row, members)
        heads[top + len(members) / 2] = f"round {row['round']:.0f}"
        bars["aggregation and evaluation"].append((begin, end, top, top + len(members) - 0.2))
        for _, member in members.iterrows():
            for what, bar in client_bars(member, begin, top):
                bars[what].append(bar)
            names = [member["client"], member["worker"].partition("@")[0]]
            lanes[top + 0.4] = " · ".join(filter(None, names))[:24]
            top += 1
        top += 0.6
    height = top * min(0.17, max(0.02, 9 / top)) + 0.9
    figure = new_figure((9.0, height), left=1.95)
    axes = figure.add_subplot()
    _draw(axes, bars, top)
    _label(axes, lanes, heads)
    longest = float(rounds["seconds"].max())
    alt = f"Timeline of rounds {first} to {rounds['round'].max():.0f}; the longest took {longest:.1f} seconds"
    return to_picture(figure, "timeline", alt, is_wide=True), first


def _draw(axes: "Axes", bars: dict[str, list[Bar]], bottom: float) -> None:
    from matplotlib.collections import PolyCollection
    from matplotlib.patches import Patch

    handles = []
    for what, (color, opacity, hatch) in ACTIVITIES.items():
        corners = [[(a, y), (b, y), (b, z), (a, z)] for a, b, y, z in bars[what]]
        look: dict[str, Any] = {
            "facecolor": color,
            "alpha": opacity,
            "hatch": hatch,
            "edgecolor": PAPER,
            "lw": 0,
        }
        if corners:
            axes.add_collection(PolyCollection(corners, **look))
            handles.append(Patch(label=what, **look))
    right = max(bar[1] for several in bars.values() for bar in several)
    axes.set(xlim=(0, right), ylim=(bottom - 0.6, -0.2), xlabel="seconds after the round’s dispatch")
    axes.grid(axis="y", visible=False)
    axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(-0.01, 1), ncols=5, borderaxespad=0.2)


def _label(axes: "Axes", lanes: dict[float, str], heads: dict[float, str]) -> None:
    """Label rounds and, while there is room, clients to the left of their lanes."""
    has_room = len(lanes) <= 60
    axes.set_yticks(list(lanes) if has_room else [], list(lanes.values()) if has_room else [], fontsize=8)
    axes.tick_params(axis="y", length=0)
    step = 1 if has_room else max(1, len(heads) // 30)
    for y in list(heads)[::step]:
        axes.annotate(
            heads[y], (0, y), xycoords=("axes fraction", "data"), xytext=(-134 if has_room else -8, 0),
            textcoords="offset points", ha="left" if has_room else "right", va="center", fontweight="bold",
        )  # fmt: skip

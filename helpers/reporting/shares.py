"""Bar chart of the images of each class at each client."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from helpers.reporting.pictures import (
    LEGEND_LINE,
    LONGEST_NAME,
    PAPER,
    SERIES,
    Picture,
    new_figure,
    shortened,
    to_picture,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 3  # of the legend
MOST_BARS = 30  # with names and numbers; more clients are one area for each class
HATCHES = ("", "////", "....", "xxxx")
ROOM_FOR_NUMBERS = 0.06  # of the longest bar


def draw_shares(
    partition: dict[str, dict[str, int]], class_names: tuple[str, ...], sites: Sequence[str] = ()
) -> Picture:
    """Draw the images of class 0, then of class 1 and so on, of each client: bars, or areas for many clients.

    Args:
        partition: number of images by client and class.
        class_names: in order of the labels.
        sites: names of the clients, if each is a site.
    """
    clients = list(partition)
    names = sites if len(sites) == len(clients) else [f"client {client}" for client in clients]
    further_lines = LEGEND_LINE * ((len(class_names) - 1) // COLUMNS)
    figure = new_figure(
        (9.0, min(12.0, 0.95 + 0.3 * len(clients)) + further_lines),
        left=0.3 + 0.085 * max(len(name[:LONGEST_NAME]) for name in names),
        top=0.3 + further_lines,
    )
    axes = figure.add_subplot()
    has_room = len(clients) <= MOST_BARS
    ends = [0] * len(clients)
    longest = max(sum(counts.values()) for counts in partition.values())
    for label, name in enumerate(class_names):
        color, hatch = SERIES[label % len(SERIES)], HATCHES[label % len(HATCHES)]
        sizes = [partition[client].get(str(label), 0) for client in clients]
        starts, ends = ends, [end + size for end, size in zip(ends, sizes, strict=True)]
        look: dict[str, Any] = {"hatch": hatch, "edgecolor": PAPER, "linewidth": 0, "label": shortened(name)}
        if has_room:
            axes.barh(range(len(clients)), sizes, 0.72, starts, color=color, **look)
            _write_numbers(axes, sizes, starts, color, longest)
        else:  # one area, which takes far less time than thousands of bars
            edges = [client - 0.5 for client in range(len(clients) + 1)]
            areas = [*starts, starts[-1]], [*ends, ends[-1]]
            axes.fill_betweenx(edges, *areas, step="post", facecolor=color, **look)
    if has_room:
        axes.set_yticks(range(len(clients)), [name[:LONGEST_NAME] for name in names])
    axes.set(xlabel="training images", ylabel="" if has_room else "clients")
    axes.set_ylim(len(clients) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 1), ncols=COLUMNS, borderaxespad=0.2)
    smallest, largest = min(ends), max(ends)
    alt = f"Images of each class at each of {len(clients)} clients, {smallest} to {largest} images a client"
    return to_picture(figure, "shares", alt, is_wide=True)


def _write_numbers(axes: "Axes", sizes: list[int], ends: list[int], color: str, longest: int) -> None:
    for y, (size, left) in enumerate(zip(sizes, ends, strict=True)):
        if size > ROOM_FOR_NUMBERS * longest:
            text = axes.text(left + size / 2, y, str(size), ha="center", va="center", color=PAPER)
            text.set_bbox({"facecolor": color, "edgecolor": "none", "pad": 2.5})

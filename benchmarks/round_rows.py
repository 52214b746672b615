"""From the rounds of all contenders to rows and targets."""

from collections.abc import Mapping, Sequence

from benchmarks.records import Measurement, Record
from benchmarks.watching import Readings

FLOOR, FLOOR_AS_IS = "floor", "floor, process not tuned"
OURS, OURS_FAST, OURS_HALF = "ours, plain step", "ours, fast step", "ours, fast step in bfloat16"
FLOWER = "Flower simulation, model kept warm"
STEADY_LIMITS = {"batch 2": (1.05, 1.0, 0.7), "batch 16": (1.05, 1.0, 0.6)}
"""For each case, how long a steady round may last as a multiple of the floor's, for the three steps."""

Rounds = Sequence[Readings]


def write_rows(
    record: Record,
    case: str,
    turns: Mapping[str, Sequence[Rounds]],
    idle: Sequence[float],
) -> None:
    """Write the rows and targets of one batch size.

    Args:
        record: receives them.
        case: such as `batch 2`.
        turns: of each contender. Of a training command or Flower simulation, all but the first are steady.
        idle: processor use of waiting contenders, % of a core.
    """
    steady = {
        name: [one for turn in own for one in (turn if name in (FLOOR, FLOOR_AS_IS) else turn[1:])]
        for name, own in turns.items()
    }
    seconds = _compare(record, f"steady round, {case}", "s", steady, "seconds")
    record.add(
        f"steady round, {case}",
        "ours, plain step, as in rounds.csv",
        "s",
        [one["recorded"] for one in steady[OURS]],
        seconds[FLOOR],
    )
    _compare(record, f"processor time of a steady round, {case}", "s", steady, "cpu")
    record.add(f"processor use while another is measured, {case}", "all that wait", "% of a core", idle)

    for name, limit in zip((OURS, OURS_FAST, OURS_HALF), STEADY_LIMITS.get(case, ()), strict=False):
        target = f"steady round / floor, {case}, {name.removeprefix('ours, ')}"
        record.target(target, limit, seconds[name].ratio, "×")


def _compare(
    record: Record, what: str, unit: str, rounds: Mapping[str, Rounds], reading: str
) -> dict[str, Measurement]:
    """Write and return a row for each contender, compared with the floor."""
    rows: dict[str, Measurement] = {}
    for name in sorted(rounds, key=lambda name: name != FLOOR):
        values = [one[reading] for one in rounds[name]]
        rows[name] = record.add(what, name, unit, values, rows.get(FLOOR))
    return rows

"""Tables and sentences of docs/results.md."""

import math
from collections.abc import Mapping, Sequence

from benchmarks.results import table
from studies.outcomes import Estimate, Outcome, difference, mean_difference

AIM = -0.02
"""The least difference of federated and pooled training that is acceptable."""
NOTHING = "–"


def results_table(cases: Sequence[Sequence[Outcome]], level: float) -> str:
    """Return a row for each case: tests with intervals, rounds to reach `level`, cost of a round."""
    seeds = [f"seed {one.seed}" for one in cases[0]]
    head = ["", "test AUC, mean", *seeds, "sensitivity at 90 % specificity, mean"]
    head += [f"rounds to validation AUC {level:g}", "MB per round", "s per round"]
    rows = []
    for ones in cases:
        tests = [one.files.test for one in ones]
        aucs = [with_interval(test["roc_auc"], test["roc_auc_low"], test["roc_auc_high"]) for test in tests]
        sensitivity = number(mean([test.get("sensitivity_at_90_specificity") for test in tests]))
        rounds = " / ".join(str(one.rounds_to(level) or NOTHING) for one in ones)
        cost = [f"{mean([one.megabytes for one in ones]):.1f}", f"{mean([one.seconds for one in ones]):.1f}"]
        average = number(mean([test["roc_auc"] for test in tests]))
        rows.append([ones[0].title, average, *aucs, sensitivity, rounds, *cost])
    return table(head, rows)


def differences_table(cases: Sequence[Sequence[Outcome]], reference: Sequence[Outcome]) -> str:
    """Return a row for each case: test ROC-AUC minus that of the reference, mean and each seed."""
    head = [f"minus {reference[0].title}", "mean over seeds", *(f"seed {one.seed}" for one in reference)]
    rows = [
        [
            ones[0].title,
            estimate(mean_difference(ones, reference)),
            *(estimate(difference(one, other)) for one, other in zip(ones, reference, strict=True)),
        ]
        for ones in cases
    ]
    return table(head, rows)


def aim_sentence(ones: Sequence[Outcome], pooled: Sequence[Outcome]) -> str:
    """Return a sentence that compares the mean difference with the aim."""
    mean_estimate = mean_difference(ones, pooled)
    value, low = mean_estimate["difference"], mean_estimate["low"]
    if value is None or low is None:
        verdict = "undefined on too few images"
    elif low > AIM:
        verdict = "the whole interval is above it: **met**"
    elif value > AIM:
        verdict = "the mean is above it, the interval is not: **not shown**"
    else:
        verdict = "**missed**"
    aim = f"{AIM:+.2f}".replace("-", "−")
    return f"- {ones[0].title} − pooled: {estimate(mean_estimate)}; the aim is above {aim}; {verdict}."


def shares_table(ones: Sequence[Outcome]) -> str:
    """Return the training images (and cancers) of every client, a column for each seed."""
    shares = [_shares(one) for one in ones]
    names = dict.fromkeys(name for each in shares for name in each)
    rows = [[name, *(each.get(name, NOTHING) for each in shares)] for name in names]
    return table([ones[0].title, *(f"seed {one.seed}" for one in ones)], rows)


def _shares(one: Outcome) -> dict[str, str]:
    """Return images and cancers by client, or by site if the partition is by site."""
    sites = one.files.sites
    return {
        sites[int(client)] if sites else f"client {client}": f"{sum(counts.values())} ({counts['1']})"
        for client, counts in one.files.partition.items()
    }


def counts_table(manifests: Mapping[int, Mapping[str, dict[str, dict[str, int]]]]) -> str:
    """Return images (and cancers) and patients of every split, a row for each seed."""
    splits = ("train", "val", "test")
    rows = []
    for seed, manifest in manifests.items():
        counts, patients = manifest["counts"], manifest.get("patients") or {}
        cells = [
            f"{sum(counts[name].values())} ({counts[name]['1']}), {patients.get(name, 'unknown')} patients"
            for name in splits
        ]
        rows.append([f"seed {seed}", *cells])
    return table(["images (cancers)", "training", "validation", "test"], rows)


def number(value: float | None) -> str:
    return NOTHING if value is None or math.isnan(value) else f"{value:.3f}"


def with_interval(value: float | None, low: float | None, high: float | None) -> str:
    return f"{number(value)} [{number(low)}, {number(high)}]"


def estimate(values: Estimate) -> str:
    """Return a difference with its sign and interval."""
    value, low, high = (signed(values[name]) for name in ("difference", "low", "high"))
    return f"{value} [{low}, {high}]"


def signed(value: float | None) -> str:
    """Return a number with its sign."""
    return NOTHING if value is None else f"{value:+.3f}".replace("-", "−")


def mean(values: Sequence[float | None]) -> float:
    """Return the mean, NaN if any value is undefined."""
    return math.fsum(math.nan if value is None else value for value in values) / len(values)

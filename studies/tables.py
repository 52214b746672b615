"""Tables and sentences of docs/results.md."""

import math
from collections.abc import Mapping, Sequence

from benchmarks.results import table
from studies.outcomes import Estimate, Outcome, difference, mean_difference

AIM = -0.02
"""What federated − pooled should lie above."""
NOTHING = "–"


def results_table(cases: Sequence[Sequence[Outcome]], level: float) -> str:
    """A row a case: tests with intervals, rounds to a validation ROC-AUC of `level`, cost of a round."""
    seeds = [f"seed {one.seed}" for one in cases[0]]
    head = ["", "test AUC, mean", *seeds, "sensitivity at 90 % specificity, mean"]
    head += [f"rounds to validation AUC {level:g}", "MB a round", "s a round"]
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
    """A row a case: test ROC-AUC minus that of the reference, mean over seeds and each seed."""
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
    """How the mean difference lies to the aim; met only where the whole interval does."""
    found = mean_difference(ones, pooled)
    value, low = found["difference"], found["low"]
    if value is None or low is None:
        verdict = "undefined on so few images"
    elif low > AIM:
        verdict = "the whole interval lies above it: **met**"
    elif value > AIM:
        verdict = "the mean lies above it, the interval does not: **not shown**"
    else:
        verdict = "**missed**"
    aim = f"{AIM:+.2f}".replace("-", "−")
    return f"- {ones[0].title} − pooled: {estimate(found)}; the aim is above {aim}; {verdict}."


def shares_table(ones: Sequence[Outcome]) -> str:
    """Training images (cancers among them) of every client, a column a seed."""
    shares = [_shares(one) for one in ones]
    names = dict.fromkeys(name for each in shares for name in each)
    rows = [[name, *(each.get(name, NOTHING) for each in shares)] for name in names]
    return table([ones[0].title, *(f"seed {one.seed}" for one in ones)], rows)


def _shares(one: Outcome) -> dict[str, str]:
    """By client, or by site where each is one."""
    sites = one.files.sites
    return {
        sites[int(client)] if sites else f"client {client}": f"{sum(counts.values())} ({counts['1']})"
        for client, counts in one.files.partition.items()
    }


def counts_table(manifests: Mapping[int, Mapping[str, dict[str, dict[str, int]]]]) -> str:
    """Images (cancers among them) and patients of every split, a row a seed."""
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


def estimate(found: Estimate) -> str:
    """A difference with its sign and its interval."""
    value, low, high = (_signed(found[name]) for name in ("difference", "low", "high"))
    return f"{value} [{low}, {high}]"


def _signed(value: float | None) -> str:
    return NOTHING if value is None else f"{value:+.3f}".replace("-", "−")


def mean(values: Sequence[float | None]) -> float:
    """NaN where one of them is undefined: a mean of others would not be that of the row."""
    return math.fsum(math.nan if value is None else value for value in values) / len(values)

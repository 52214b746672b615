"""The surest wrong cases of finished runs, and what the manifest knows about them.

python -m studies.wrong_cases fold-1 fold-2 --data-dir ../shared/data/bus-bra --by birads device histology

Prints a table for each column, and the images that the models got wrong most surely, to be looked at. Each
run counts with its own threshold. The runs must have different test images.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.results import table
from helpers.evaluation.metrics import evaluate

MOST_CASES = 40
FEWEST = 10
"""Images of a value that has a row of its own."""


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add = parser.add_argument
    add("runs", nargs="+", metavar="RUN", help="finished runs")
    add("--metrics-dir", type=Path, default=Path("metrics"), metavar="DIR", help="of the runs [metrics]")
    add("--data-dir", type=Path, required=True, metavar="DIR", help="folder with manifest.csv")
    add("--by", nargs="+", default=["device"], metavar="COLUMN", help="columns of manifest.csv [device]")
    return parser.parse_args(arguments)


def tested_images(metrics_dir: Path, runs: Sequence[str], manifest: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each test image: manifest's columns, `score`, `cancer`, `is_wrong`, `error`.

    `error` is the probability that the model gave to the wrong class.
    """
    tests = []
    for run in runs:
        scores = np.load(metrics_dir / run / "scores.npz", allow_pickle=False)
        threshold = float(pd.read_csv(metrics_dir / run / "test.csv")["threshold"].iloc[0])
        test = pd.DataFrame({"file": scores["test_files"], "score": scores["test_scores"].astype(float)})
        test["cancer"] = scores["test_labels"]
        test["is_wrong"] = (test["score"] >= threshold) != (test["cancer"] == 1)
        tests.append(test)
    images = pd.concat(tests).merge(manifest, on="file", validate="one_to_one")
    images["error"] = np.where(images["cancer"] == 1, 1 - images["score"], images["score"])
    return images


def table_by(images: pd.DataFrame, column: str) -> str:
    """Return images, cancers, share of wrong cases and AUC for each value of a column."""
    rows = []
    for value, group in images.groupby(column):
        if len(group) >= FEWEST:
            both = group["cancer"].nunique() == 2
            labels, scores = group["cancer"].to_numpy(), group["score"].to_numpy()
            auc = evaluate(labels, scores).metrics["roc_auc"] if both else None
            wrong = f"{group['is_wrong'].mean():.0%}"
            counts = [str(len(group)), str(group["cancer"].sum())]
            rows.append([str(value), *counts, wrong, "–" if auc is None else f"{auc:.3f}"])
    return table([column, "images", "cancers", "wrong", "AUC"], rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables and return the exit status."""
    options = parse(arguments)
    manifest = pd.read_csv(options.data_dir / "manifest.csv", dtype=str).drop(columns=["label"])
    images = tested_images(options.metrics_dir, options.runs, manifest)
    for column in options.by:
        print(table_by(images, column), end="\n\n")
    surest = images.sort_values("error", ascending=False).head(MOST_CASES)
    names = ["file", "cancer", "score", *options.by]
    cells = surest[names].assign(score=surest["score"].map("{:.3f}".format)).astype(str)
    print(table(names, cells.to_numpy().tolist()))
    return 0


if __name__ == "__main__":
    sys.exit(main())

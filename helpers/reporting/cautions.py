"""What a reader should know before believing the numbers, in words."""

import math
from collections.abc import Iterator
from typing import Any

import pandas as pd

from helpers.evaluation.tallies import MEAN
from helpers.reporting.auc_error import auc_error_by_bootstrap, auc_standard_error
from helpers.reporting.run_files import EACH_SITE, RunFiles
from helpers.reporting.tables import SPLITS

FEW_ROUNDS = 5
WIDE_INTERVAL = 0.1
COARSE_AUC = 0.03
POOR_CALIBRATION = 0.1
FEW_IMAGES = 20
"""Of a class; with fewer, one image moves its recall by more than 5 %."""
WHAT_A_CLIENT_DID = {
    "failed": "failed",
    "missing": "did not answer",
    "partial": "ran out of time and counted with only a part of its images",
}


def cautions(files: RunFiles) -> list[str]:
    """The sentences, gravest first: the data, then the clients, then the numbers."""
    parts = (_about_data, _about_clients, _about_classes, _about_validation, _about_rounds, _about_test)
    return [*files.unreadable, *(sentence for part in parts for sentence in part(files))]


def _about_data(files: RunFiles) -> Iterator[str]:
    data = files.data
    found = data.get("audit") or {}
    if count := int(found.get("split_copies") or 0):
        text = "1 copy lies" if count == 1 else f"{count} copies lie"
        yield f"{text} in another split than the original: the test flatters the model."
    if found.get("split_patients"):
        text = _number(found["split_patients"], "patient")
        yield f"{text} with images in more than one split: the test flatters the model."
    if count := int(found.get("label_conflicts") or 0):
        text = "1 image lies" if count == 1 else f"{count} images lie"
        yield f"{text} in two classes: one of the labels is wrong."
    if found.get("exact_duplicates"):
        yield f"{_number(found['exact_duplicates'], 'exact duplicate')} found among the images."
    if found.get("near_duplicates"):
        text = _number(found["near_duplicates"], "near duplicate")
        yield f"{text} found among the images: the data hold less than their number says."
    if data and not data.get("patients") and data.get("split_by") != EACH_SITE:
        yield (
            "Patients are unknown: images of one patient may be in training and in test, and the test then "
            "flatters the model."
        )
    one_class = [name for name, counts in files.partition.items() if sum(map(bool, counts.values())) < 2]
    if one_class:
        yield f"{_clients(one_class)} only images of one class."


def _about_clients(files: RunFiles) -> Iterator[str]:
    bad = files.clients[files.clients["status"].isin(WHAT_A_CLIENT_DID)]
    for (client, status), rows in bad.groupby(["client", "status"], sort=True):
        rounds = [f"{number:.0f}" for number in rows["round"]]
        shown = ", ".join(rounds[:8]) + (" …" if len(rounds) > 8 else "")
        error = next((text for text in rows["error"] if text), "")
        reason = f": {error[:200]}" if error else "."
        did = WHAT_A_CLIENT_DID[str(status)]
        yield f"Client {client} {did} in round{'s' * (len(rounds) > 1)} {shown}{reason}"


def _about_classes(files: RunFiles) -> Iterator[str]:
    """Of more than two classes: those with so few images that their metrics, and the means, are coarse."""
    if files.is_binary:
        return
    for split in ("val", "test"):
        counts = zip(files.class_names, _counts(files, split), strict=True)
        few = [f"{count} of {name}" for name, count in counts if count < FEW_IMAGES]
        if few:
            yield (
                f"Few {SPLITS[split]} images: {', '.join(few)}; the metrics of these classes, and every mean "
                "over the classes, rest on little."
            )


def _counts(files: RunFiles, split: str) -> list[int]:
    """Images of each class, by the scores where there are any."""
    labels = range(len(files.class_names))
    if split in files.scores:
        return [int((files.scores[split].labels == label).sum()) for label in labels]
    counts = (files.data.get("counts") or {}).get(split) or {}
    return [int(counts.get(str(label), 0)) for label in labels]


def _about_validation(files: RunFiles) -> Iterator[str]:
    if not files.is_binary:
        return
    known = files.scores.get("val")
    negatives, positives = _counts(files, "val")
    auc = files.rounds["roc_auc"].max()
    if not positives or not negatives or math.isnan(auc):
        return
    if known is not None:
        error = auc_error_by_bootstrap(known)
        how = f"bootstrap over {'patients' if files.data.get('patients') else 'images'}"
    else:  # the scores come with the test
        error = 1.96 * auc_standard_error(float(auc), positives, negatives)
        how = "Hanley & McNeil 1982, as if every image showed another patient"
    if error >= COARSE_AUC:
        yield (
            f"Validation has {positives + negatives} images ({positives} {files.class_names[1]}): its AUC is "
            f"known to ± {error:.2f} (95 %, {how}); rounds that differ by less cannot be told apart."
        )


def _about_sites(rounds: pd.DataFrame) -> Iterator[str]:
    means = int((rounds["roc_auc_over"] == MEAN).sum())
    if means:
        yield (
            f"In {_number(means, 'round')} not all sites gave their scores: the AUC is then the {MEAN}, "
            "which is not that of all images together."
        )
    if rounds[["num_scored", "roc_auc_over"]].drop_duplicates().shape[0] > 1:
        yield (
            "Not all rounds were scored by as many sites in the same way: their AUCs, by which the best "
            "round is chosen, do not quite compare."
        )


def _about_rounds(files: RunFiles) -> Iterator[str]:
    rounds = files.rounds
    if not len(rounds):
        return
    if files.is_finished and len(rounds) < FEW_ROUNDS:
        yield f"Only {_number(len(rounds), 'round')}: the curves may not have settled."
    elif files.is_finished and files.best_round == rounds["round"].max():
        yield "The best round is the last one: more rounds might give a better model."
    if count := _lopsided(files):
        at = " at threshold 0.5" if files.is_binary else ""
        text = _number(count, "round")
        yield f"In {text} the averaged model puts every validation image into one class{at}."
    yield from _about_sites(rounds)
    threshold = _value(files.test, "threshold")
    if threshold is not None and threshold != 0.5:
        yield (
            "Accuracy, precision, recall and F1 of the rounds are at threshold 0.5, while the test uses the "
            f"threshold chosen on validation, {threshold:.3f}: the two cannot be compared."
        )


def _lopsided(files: RunFiles) -> int:
    """Rounds whose model decides for one class alone."""
    rounds = files.rounds
    if files.is_binary:
        none = rounds["precision"].isna() & (rounds["recall"] == 0)
        every = (rounds["specificity"] == 0) & (rounds["recall"] == 1)
        return int((none | every).sum())
    decided = files.classes.dropna(subset="precision")  # only a class that was decided has a precision
    found = decided.groupby("round")["recall"].agg(["size", "max"])
    return int(((found["size"] == 1) & (found["max"] == 1)).sum())


def _about_test(files: RunFiles) -> Iterator[str]:
    test = files.test
    auc, low, high = (_value(test, name) for name in ("roc_auc", "roc_auc_low", "roc_auc_high"))
    if auc is not None and low is not None and high is not None:
        if low <= 0.5 <= high:
            yield f"The test AUC's interval, {low:.3f} to {high:.3f}, holds 0.5: this may be guessing."
        elif high - low > WIDE_INTERVAL:
            yield f"The test AUC is {auc:.3f}, but its 95 % interval is wide: {low:.3f} to {high:.3f}."
        best = files.rounds["roc_auc"].max()
        if best > high:
            yield (
                f"The best validation AUC, {best:.3f}, lies above the test's interval: the best of many "
                "rounds looks better than it is. Believe the test."
            )
    if files.is_binary and test.get("recall") == 0:
        positive = files.class_names[1]
        yield f"At the threshold {files.threshold:.3f} the model finds none of the {positive} test images."
    unfound = files.test_classes[files.test_classes["recall"] == 0]["name"]
    if len(unfound):
        yield f"The model finds none of the test images of: {', '.join(unfound)}."
    error = _value(test, "calibration_error")
    if error is not None and error > POOR_CALIBRATION:
        yield f"Calibration error {error:.2f}: the scores rank images, but are no probabilities."


def _value(row: dict[str, Any], name: str) -> float | None:
    """A number of a table's row; None where there is none."""
    value = row.get(name)
    return None if value is None or isinstance(value, str) or math.isnan(value) else float(value)


def _clients(names: list[str]) -> str:
    shown = ", ".join(names[:8]) + (" …" if len(names) > 8 else "")
    return f"Client {shown} has" if len(names) == 1 else f"Clients {shown} have"


def _number(count: Any, noun: str) -> str:
    return f"{int(count)} {noun}{'' if int(count) == 1 else 's'}"

"""Cautions: sentences on why the numbers of a run may mislead."""

import math
from collections.abc import Iterator
from typing import Any

import pandas as pd

from helpers.architectures import ARCHITECTURES, OWN
from helpers.evaluation.auc_intervals import standard_error
from helpers.evaluation.intervals import FEW_TEST_PATIENTS, auc_error
from helpers.evaluation.tallies import MEAN
from helpers.federated.sites.site import EACH_SITE
from helpers.reporting.run_files import RunFiles
from helpers.reporting.tables import SPLITS

FEW_ROUNDS = 5
WIDE_INTERVAL = 0.1
COARSE_AUC = 0.03
POOR_CALIBRATION = 0.1
FEW_IMAGES = 20
"""With fewer images of a class, one image changes its recall by more than 5 %."""
LEARNED_AUC = 0.6
"""A client's model with this validation AUC has learned something."""
OLD_SHARE = 1 / 3
"""A larger share of statistics from earlier rounds can spoil the averaged model."""
CLIENT_FAILURES = {
    "failed": "failed",
    "missing": "did not reply",
    "partial": "reached the deadline and counted with only part of its images",
}


def cautions(files: RunFiles) -> list[str]:
    """Return the cautions, most serious first: on the data, then the clients, then the numbers.

    Clients that are sites are called by their names, where the files have them.
    """
    parts = (
        _data_cautions, _privacy_cautions, _client_cautions, _class_cautions, _validation_cautions,
        _round_cautions, _test_cautions,
    )  # fmt: skip
    return [*files.unreadable, *(sentence for part in parts for sentence in part(files))]


def _data_cautions(files: RunFiles) -> Iterator[str]:
    data = files.data
    audit = data.get("audit") or {}
    if count := int(audit.get("split_copies") or 0):
        text = "1 copy is" if count == 1 else f"{count} copies are"
        yield f"{text} in another split than the original: the test overstates the model."
    if audit.get("split_patients"):
        text = _number(audit["split_patients"], "patient")
        yield f"{text} with images in more than one split: the test overstates the model."
    if count := int(audit.get("label_conflicts") or 0):
        text = "1 image is" if count == 1 else f"{count} images are"
        yield f"{text} in two classes: one of the labels is wrong."
    if audit.get("exact_duplicates"):
        yield f"{_number(audit['exact_duplicates'], 'exact duplicate')} found among the images."
    if audit.get("near_duplicates"):
        text = _number(audit["near_duplicates"], "near duplicate")
        yield f"{text} found among the images: they add less information than their number suggests."
    if data and not data.get("patients") and data.get("split_by") != EACH_SITE:
        yield (
            "Patients are unknown: images of one patient may be in both training and test, and the test then "
            "overstates the model."
        )
    if unknown := [site["name"] for site in data.get("sites") or [] if not site["patients"]]:
        yield (
            f"Patients are unknown at {_number(len(unknown), 'site')}: images of one patient may be in both "
            "training and test there, and the test then overstates the model."
        )
    one_class = [name for name, counts in files.partition.items() if sum(map(bool, counts.values())) < 2]
    if one_class:
        yield f"{_clients(files, one_class)} only images of one class."


def _privacy_cautions(files: RunFiles) -> Iterator[str]:
    if files.settings.get("DP", "off") == "off":
        return
    yield "This run cannot be repeated with the same numbers: its noise comes from the operating system."
    if files.settings["DP"] == "client":
        yield (
            "The guarantee is about the models. clients.csv has losses and metrics of single clients without "
            "noise: do not publish it."
        )


def _client_cautions(files: RunFiles) -> Iterator[str]:
    bad = files.clients[files.clients["status"].isin(CLIENT_FAILURES)]
    for (client, status), rows in bad.groupby(["client", "status"], sort=True):
        rounds = [f"{number:.0f}" for number in rows["round"]]
        shown = ", ".join(rounds[:8]) + (" …" if len(rounds) > 8 else "")
        error = next((text for text in rows["error"] if text), "")
        reason = f": {error[:200]}" if error else "."
        did = CLIENT_FAILURES[str(status)]
        name = f"{_client(files)} {files.name_of(client)}"
        yield f"{name} {did} in round{'s' * (len(rounds) > 1)} {shown}{reason}"


def _class_cautions(files: RunFiles) -> Iterator[str]:
    """With more than two classes, name those whose metrics, and so the means, rest on few images."""
    if files.is_binary:
        return
    for split in ("val", "test"):
        counts = zip(files.class_names, _counts(files, split), strict=True)
        few = [f"{count} of {name}" for name, count in counts if count < FEW_IMAGES]
        if few:
            yield (
                f"Few {SPLITS[split]} images: {', '.join(few)}. The metrics of these classes, and all means "
                "over the classes, are imprecise."
            )


def _counts(files: RunFiles, split: str) -> list[int]:
    """Return the number of images of each class, from the scores if there are any."""
    labels = range(len(files.class_names))
    if split in files.scores:
        return [int((files.scores[split].labels == label).sum()) for label in labels]
    counts = (files.data.get("counts") or {}).get(split) or {}
    return [int(counts.get(str(label), 0)) for label in labels]


def _validation_cautions(files: RunFiles) -> Iterator[str]:
    if not files.is_binary:
        return
    split = files.scores.get("val")
    negatives, positives = _counts(files, "val")
    auc = files.best_auc
    equal = int((files.rounds["roc_auc"] == auc).sum())
    if equal > 1 and files.settings.get("CHOICE") != "smoothed":
        yield (
            f"{equal} rounds have the same best validation AUC, {auc:.3f}: of these the one with the "
            "smallest validation loss is the best. More validation images would tell them apart."
        )
    if not positives or not negatives or math.isnan(auc):
        return
    if split is not None:
        error = auc_error(split.labels, split.scores, split.patients) or 0.0
        method = f"by {'patient' if files.data.get('patients') else 'image'}"
    else:  # scores are written with the test
        error = 1.96 * standard_error(float(auc), positives, negatives)
        method = "Hanley & McNeil 1982, assuming one image per patient"
    if error >= COARSE_AUC:
        yield (
            f"Validation has {positives + negatives} images ({positives} {files.class_names[1]}): its AUC is "
            f"known to ± {error:.2f} (95 %, {method}). Smaller differences between rounds may be chance."
        )


def _site_cautions(rounds: pd.DataFrame) -> Iterator[str]:
    means = int((rounds["roc_auc_over"] == MEAN).sum())
    if means:
        yield (
            f"In {_number(means, 'round')} not all sites shared counts by score. The AUC is then the "
            f"{MEAN}, which differs from that of all images together."
        )
    if rounds[["num_scored", "roc_auc_over"]].drop_duplicates().shape[0] > 1:
        yield (
            "The number of sites that scored, or how their AUCs were combined, changed between rounds: the "
            "AUCs by which the best round is chosen are not fully comparable."
        )


def _round_cautions(files: RunFiles) -> Iterator[str]:
    rounds = files.rounds
    if not len(rounds):
        return
    if files.is_finished and len(rounds) < FEW_ROUNDS:
        yield f"Only {_number(len(rounds), 'round')}: the curves may not have converged."
    elif files.is_finished and files.best_round == rounds["round"].max():
        yield "The best round is the last one: more rounds might give a better model."
    if count := _lopsided(files):
        at = " at threshold 0.5" if files.is_binary else ""
        text = _number(count, "round")
        yield f"In {text} the averaged model puts every validation image into one class{at}."
    yield from _batch_norm_cautions(files)
    yield from _site_cautions(rounds)
    threshold = _value(files.test, "threshold")
    if threshold is not None and threshold != 0.5:
        yield (
            "Accuracy, precision, recall and F1 of the rounds are at threshold 0.5, those of the test at the "
            f"threshold of the model, {threshold:.3f}: the two are not comparable."
        )


def _batch_norm_cautions(files: RunFiles) -> Iterator[str]:
    """Name the likely cause where the averaged model is worse than chance and a client's is not."""
    settings, clients, rounds = files.settings, files.clients, files.rounds
    momentum, size = (_value(settings, name) for name in ("BATCH_NORM_MOMENTUM", "TRAIN_BATCH_SIZE"))
    has_batch_norm = ARCHITECTURES.get(str(settings.get("ARCHITECTURE")), OWN).has_batch_norm
    is_frozen = settings.get("BATCH_NORM") in ("auto", "frozen") and settings.get("PRETRAINED") != "none"
    is_moving = settings.get("BATCH_NORM_STATISTICS") == "moving" and has_batch_norm and not is_frozen
    if not (is_moving and momentum and size):
        return
    learned = clients.loc[clients["val_roc_auc"] >= LEARNED_AUC, "round"]
    behind = rounds[(rounds["roc_auc"] < 0.5) & rounds["round"].isin(learned)]
    steps = -(-clients["num_examples"].max() // size)  # images count once for each local epoch
    old = momentum**steps
    if len(behind) and old > OLD_SHARE:
        yield (
            f"In {_number(len(behind), 'round')} the averaged model is worse than chance on validation, but "
            "the model of a client is not. The cause may be old statistics of batch normalization: "
            f"BATCH_NORM_MOMENTUM={momentum:g} keeps {old:.0%} of those from earlier rounds where a round "
            f"has {_number(steps, 'step')}. Set BATCH_NORM_STATISTICS=round."
        )


def _lopsided(files: RunFiles) -> int:
    """Return the number of rounds whose model assigns every image to one class."""
    rounds = files.rounds
    if files.is_binary:
        all_negative = rounds["precision"].isna() & (rounds["recall"] == 0)
        all_positive = (rounds["specificity"] == 0) & (rounds["recall"] == 1)
        return int((all_negative | all_positive).sum())
    decided = files.classes.dropna(subset="precision")  # undefined for classes that were never decided
    per_round = decided.groupby("round")["recall"].agg(["size", "max"])
    return int(((per_round["size"] == 1) & (per_round["max"] == 1)).sum())


def _test_cautions(files: RunFiles) -> Iterator[str]:
    test = files.test
    patients = _value(test, "num_patients")
    number = _value(test, "num_examples") if patients is None else patients
    if number is not None and number < FEW_TEST_PATIENTS:
        unit = "image" if patients is None else "patient"
        yield (
            f"The test has only {_number(number, unit)}, fewer than {FEW_TEST_PATIENTS}: its "
            "numbers are rough, and their intervals wide."
        )
    auc, low, high = (_value(test, name) for name in ("roc_auc", "roc_auc_low", "roc_auc_high"))
    if auc is not None and low is not None and high is not None:
        if low <= 0.5 <= high:
            yield f"The test AUC's interval, {low:.3f} to {high:.3f}, includes 0.5: this may be chance."
        elif high - low > WIDE_INTERVAL:
            yield f"The test AUC is {auc:.3f}, but its 95 % interval is wide: {low:.3f} to {high:.3f}."
        best = files.best_auc
        if best > high:
            yield (
                f"The best validation AUC, {best:.3f}, is above the test's interval: as the best of many "
                "rounds it is too optimistic. Rely on the test."
            )
    if files.is_binary and test.get("recall") == 0:
        positive = files.class_names[1]
        yield f"At the threshold {files.threshold:.3f} the model detects none of the {positive} test images."
    undetected = files.test_classes[files.test_classes["recall"] == 0]["name"]
    if len(undetected):
        yield f"The model detects none of the test images of: {', '.join(undetected)}."
    error = _value(test, "calibration_error")
    if error is not None and error > POOR_CALIBRATION:
        yield f"Calibration error {error:.2f}: the scores rank images, but are not reliable probabilities."


def _value(row: dict[str, Any], name: str) -> float | None:
    """Return a number of a row; None if it is undefined or absent."""
    value = row.get(name)
    return float(value) if isinstance(value, int | float) and not math.isnan(value) else None


def _client(files: RunFiles) -> str:
    return "Site" if files.sites and files.names_sites else "Client"


def _clients(files: RunFiles, clients: list[str]) -> str:
    shown = ", ".join(map(files.name_of, clients[:8])) + (" …" if len(clients) > 8 else "")
    return f"{_client(files)} {shown} has" if len(clients) == 1 else f"{_client(files)}s {shown} have"


def _number(count: Any, noun: str) -> str:
    return f"{int(count)} {noun}{'' if int(count) == 1 else 's'}"

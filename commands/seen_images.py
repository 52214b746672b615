"""What a model has seen: images recognized by digest, and how its training images were prepared."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from commands.labeled_images import LabeledImages
from commands.scorers import Scorer
from helpers.global_config import Config
from preprocessing.errors import PreprocessingError
from preprocessing.feed.prepared_data import MANIFEST, PreparedData

Training = dict[str, Any]
"""The manifest.json of a model's images."""
WEIGHT = {"train": 2, "val": 1}
"""How much it matters that a model has seen an image in a split."""


def training_manifest(scorer: Scorer, config: Config) -> Training | None:
    """Return the manifest.json of the images that a model was trained on; None if it is not here.

    It is kept with the run, or with the prepared images in PREPROCESSED_DIR or a folder in it. That of a run
    of the same name that was trained on other images does not count.
    """
    digest = scorer.facts.get("data_digest")
    try:
        content = (config.METRICS_DIR / scorer.run / MANIFEST).read_bytes()
        is_own = not digest or hashlib.sha256(content).hexdigest() == digest
        training: Training = json.loads(content)
        if scorer.run and is_own and "files" in training:
            return training
    except (OSError, ValueError, TypeError):
        pass
    try:
        data = PreparedData.find(config.PREPROCESSED_DIR, digest) if digest else None
    except PreprocessingError:
        return None
    return data.manifest if data else None


def seen_in(digests: Sequence[str], training: Training | None) -> list[str]:
    """Return for each image the split of the model's training that has the same file; empty for none.

    Of several such splits it is the one that matters most: the training, then the validation.
    """
    entries = sorted((training or {}).get("files", ()), key=lambda entry: WEIGHT.get(entry.get("split"), 0))
    splits = {entry.get("sha256"): str(entry.get("split", "")) for entry in entries}
    splits.pop(None, None)
    return [splits.get(digest, "") if digest else "" for digest in digests]


def warnings_of(seen: Sequence[str], scorer: Scorer, training: Training | None) -> list[str]:
    """Return sentences about images that the model has seen, most serious first."""
    if training is None:
        why = (
            f"the images of run {scorer.run} are neither in its folder nor in PREPROCESSED_DIR"
            if scorer.run
            else "it does not say on which images"
        )
        return [f"It could not be checked whether the model was trained on these images: {why}."]
    counts, sentences = Counter(seen), []
    if number := counts["train"]:
        sentences.append(
            f"WARNING: the model was TRAINED on {number:,} of these {len(seen):,} images. The numbers "
            "say how well it remembers them, not how well it does on new ones. Leave these images out "
            "(predictions.csv names them in seen_in); of prepared images, take --split test."
        )
    if number := counts["val"]:
        sentences.append(
            f"WARNING: {number:,} of these {len(seen):,} images are from its validation, on which the best "
            "round and the threshold were chosen."
        )
    if number := counts["test"]:
        sentences.append(
            f"{number:,} of these {len(seen):,} images are from the test of its run: they are not an "
            "external validation."
        )
    return sentences


def differences(images: LabeledImages, training: Training | None, scorer: Scorer) -> list[str]:
    """Return sentences on how these images were prepared otherwise than those of the training."""
    if training is None:
        return [] if scorer.facts else [f"As --pixels says, pixels were scaled to {scorer.pixels}."]
    sentences = []
    was_cropped = bool((training.get("options") or {}).get("crop_breast"))
    if was_cropped != images.is_cropped:
        own, other = ("cropped to the breast", "not cropped")[:: 1 if was_cropped else -1]
        remedy = "crop them too (--crop-breast, for DICOM)" if was_cropped else "leave --crop-breast out"
        sentences.append(
            f"WARNING: prepared otherwise: the training images were {own}, these are {other}; {remedy}."
        )
    if images.source != (source := str(training.get("source"))):
        sentences.append(
            f"Prepared otherwise: the source of these images is {images.source}, that of the training images "
            f"{source}."
        )
    return sentences

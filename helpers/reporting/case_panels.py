"""Case panels: test images next to their Grad-CAM heatmaps, as data URIs."""

import base64
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from helpers.evaluation.metrics import checked, num_classes_of
from helpers.explaining.overlay import with_heatmap

MOST_OF_A_KIND = 6
LARGEST = 224  # pixels


@dataclass(frozen=True)
class Panel:
    """One test image with the model's decision.

    Attributes:
        kind: `right` or `wrong`.
        file: id of the image.
        truth, decision: names of the true and of the decided class.
        score: the model's probability of class 1; with more than two classes, of the decided one.
        source: data URI of a PNG: the image, and to its right the image under its heatmap.
        width, height: of the PNG, in pixels.
        has_signal: whether the heatmap marks a region.
    """

    kind: str
    file: str
    truth: str
    decision: str
    score: float
    source: str
    width: int
    height: int
    has_signal: bool


def panels(cases: dict[str, NDArray[Any]], class_names: tuple[str, ...]) -> list[Panel]:
    """Return the cases of cases.npz, correct decisions first.

    Args:
        cases: arrays of cases.npz.
        class_names: in order of the labels.

    Raises:
        KeyError: an array is missing.
        ValueError: images and heatmaps, labels and scores, or scores and names do not fit each other.
    """
    shown = []
    all_labels, all_scores = checked(cases["labels"], cases["scores"])
    if num_classes_of(all_scores) != len(class_names):
        raise ValueError(f"scores of {num_classes_of(all_scores)} classes, names of {len(class_names)}")
    for kind in ("right", "wrong"):
        for index in np.flatnonzero(cases["kinds"] == kind)[:MOST_OF_A_KIND]:
            pair = _limited(with_heatmap(cases["images"][index], cases["heatmaps"][index]))
            height, width = pair.shape[:2]
            has_signal = bool(cases["heatmaps"][index].max() > 0)
            scores, label = all_scores[index], int(all_labels[index])
            decided = int(scores.argmax()) if scores.ndim else (label if kind == "right" else 1 - label)
            truth, decision = class_names[label], class_names[decided]
            file, score = str(cases["files"][index]), float(scores.max())
            source = _data_uri(pair)
            shown.append(Panel(kind, file, truth, decision, score, source, width, height, has_signal))
    return shown


def _limited(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the image, reduced if it is higher than LARGEST."""
    scale = LARGEST / image.shape[0]
    if scale >= 1:
        return image
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA).astype(np.uint8)


def _data_uri(image: NDArray[np.uint8]) -> str:
    _, data = cv2.imencode(".png", image[..., ::-1])
    return "data:image/png;base64," + base64.b64encode(data.tobytes()).decode()

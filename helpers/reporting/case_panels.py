"""Images beside their Grad-CAM heatmap, as data URIs."""

import base64
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from helpers.evaluation.weighted_metrics import checked, num_classes_of
from helpers.explaining.overlay import beside_heat

MOST_OF_A_KIND = 6
LARGEST = 224  # pixels


@dataclass(frozen=True)
class Panel:
    """One case.

    Attributes:
        kind: `right` or `wrong`.
        file: which image.
        truth, decision: what it is and what it was called, by name.
        score: the model's probability of class 1; of more than two classes, of the decided one.
        source: data URI of a PNG: the image, and beside it the image under its heatmap.
    """

    kind: str
    file: str
    truth: str
    decision: str
    score: float
    source: str


def panels(cases: dict[str, NDArray[Any]], class_names: tuple[str, ...]) -> list[Panel]:
    """The cases of cases.npz, right ones first.

    Args:
        cases: its arrays.
        class_names: what each label means, in their order.

    Raises:
        KeyError: an array is missing.
        ValueError: images and heatmaps, labels and scores, or scores and names do not fit each other.
    """
    found = []
    all_labels, all_scores = checked(cases["labels"], cases["scores"])
    if num_classes_of(all_scores) != len(class_names):
        raise ValueError(f"scores of {num_classes_of(all_scores)} classes, names of {len(class_names)}")
    for kind in ("right", "wrong"):
        for index in np.flatnonzero(cases["kinds"] == kind)[:MOST_OF_A_KIND]:
            pair = beside_heat(cases["images"][index], cases["heatmaps"][index])
            scores, label = all_scores[index], int(all_labels[index])
            decided = int(scores.argmax()) if scores.ndim else (label if kind == "right" else 1 - label)
            truth, decision = class_names[label], class_names[decided]
            file, score = str(cases["files"][index]), float(scores.max())
            found.append(Panel(kind, file, truth, decision, score, _data_uri(pair)))
    return found


def _data_uri(image: NDArray[np.uint8]) -> str:
    scale = LARGEST / image.shape[0]
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA).astype(np.uint8)
    _, data = cv2.imencode(".png", image[..., ::-1])
    return "data:image/png;base64," + base64.b64encode(data.tobytes()).decode()

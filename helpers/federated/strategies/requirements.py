"""Conditions on other settings that several strategies share; each returns a reason or an empty text."""

from collections.abc import Mapping
from typing import Any


def mean_gradient_from_sgd(settings: Mapping[str, Any]) -> str:
    """Require plain SGD at the clients and no step left out: (w₀ − w) / (steps · rate) is the mean
    gradient.
    """
    strategy = settings["STRATEGY"]
    if settings["OPTIMIZER"] != "sgd":
        return (
            f"OPTIMIZER: received {settings['OPTIMIZER']!r}: STRATEGY={strategy} derives mean gradients from "
            "the path of plain SGD; set OPTIMIZER=sgd, and BASE_LR to a rate for it, such as 0.01"
        )
    for name in ("MOMENTUM", "WEIGHT_DECAY", "MAX_GRADIENT_NORM"):
        if settings[name]:
            return (
                f"{name}: received {settings[name]}: STRATEGY={strategy} derives mean gradients from the "
                f"path of plain SGD; set {name}=0"
            )
    if settings["PRECISION"] == "mixed_float16":
        return (
            f"PRECISION: received 'mixed_float16' with STRATEGY={strategy}: steps whose gradients overflow "
            "are skipped, so the mean gradients would be wrong; set PRECISION=mixed_bfloat16"
        )
    return ""


def whole_weights(settings: Mapping[str, Any]) -> str:
    """Require that the server receives exactly the weights from which the client computed its state."""
    if settings["UPDATE_DTYPE"] == "float32":
        return ""
    return (
        f"UPDATE_DTYPE: received {settings['UPDATE_DTYPE']!r}: with STRATEGY={settings['STRATEGY']} clients "
        "send whole weights; set UPDATE_DTYPE=float32"
    )

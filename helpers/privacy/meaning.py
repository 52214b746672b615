"""What ε means, in one sentence for people who read results."""

import math
from collections.abc import Mapping
from typing import Any

PROTECTED = {"image": "any one training image", "patient": "all training images of any one patient"}


def meaning(settings: Mapping[str, Any], epsilon: float) -> str:
    """Return the guarantee that ε gives, by the settings of a run."""
    protected = "any one client" if settings["DP"] == "client" else PROTECTED[settings["DP_UNIT"]]
    factor = f"{math.exp(epsilon):.2g}" if epsilon < 7 else f"e^{epsilon:.3g}"
    what = "models" if settings["DP"] == "client" else "updates and models"
    return (
        f"ε = {epsilon:.3g}, δ = {settings['DP_DELTA']:g}: with or without {protected}, the probability "
        f"of any {what} of this run differs by a factor of at most {factor}, apart from δ."
    )

"""Decision curve: the net benefit of deciding by the scores, against deciding alike for every image."""

import numpy as np

from helpers.evaluation.operating_points import benefit_of_all, net_benefit
from helpers.reporting.pictures import MUTED, SERIES, Picture, new_figure, to_picture
from helpers.reporting.run_files import SplitScores

THRESHOLDS = np.linspace(0.01, 0.99, 99)


def draw_decision_curve(split: SplitScores, name: str, positive: str) -> Picture:
    """Draw net benefit by threshold for the model, for every image as class 1, and for none."""
    figure = new_figure(left=0.75)
    axes = figure.add_subplot()
    axes.set(xlabel="threshold (probability at which one would act)", ylabel="net benefit per image")
    model = net_benefit(split.labels, split.scores, THRESHOLDS)
    every = benefit_of_all(split.labels, THRESHOLDS)
    share = float(split.labels.mean())
    axes.plot(THRESHOLDS, every, "--", color=SERIES[1], label="act on all")
    axes.axhline(0, linestyle=":", color=MUTED, label="act on none")
    axes.plot(THRESHOLDS, model, color=SERIES[0], label="act by the model")
    axes.set(xlim=(0, 1), ylim=(-0.2 * share, 1.15 * share))
    axes.legend(loc="upper right")
    better = THRESHOLDS[model > np.maximum(every, 0) + 1e-12]
    where = f"from {better.min():.2f} to {better.max():.2f}" if len(better) else "nowhere"
    alt = (
        f"Decision curve on {name}: acting on {positive} by the model has a larger net benefit than acting "
        f"on all or on none {where}"
    )
    return to_picture(figure, f"benefit-{name}", alt)

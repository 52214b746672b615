"""Finished runs of the study of federated learning, made up so that their numbers can be checked by hand."""

import numpy as np
import pandas as pd

from helpers.reporting.run_files import RunFiles, SplitScores
from studies.outcomes import Outcome

LABELS = np.tile([0, 1], 16)
PERFECT, WRONG = LABELS * 0.8 + 0.1, 0.9 - LABELS * 0.8
EVEN = np.full(32, 0.5)


def made_up(
    scores: np.ndarray = PERFECT,
    *,
    seed: int = 1,
    title: str = "case",
    validation: tuple[float, ...] = (0.6, 0.8, 0.7),
    labels: np.ndarray = LABELS,
    digest: str = "same",
    **facts: object,
) -> Outcome:
    """A run of three rounds, 3 MB and 2, 4, 9 s each; test AUC as its scores say."""
    rounds = pd.DataFrame(
        {
            "round": np.arange(1.0, len(validation) + 1),
            "roc_auc": validation,
            "bytes_down": 1e6,
            "bytes_up": 1.5e6,
            "state_bytes": 5e5,
            "seconds": [2.0, 4.0, 9.0][: len(validation)],
        }
    )
    auc = {"roc_auc": 0.75, "roc_auc_low": 0.5, "roc_auc_high": 1.0, "sensitivity_at_90_specificity": 0.25}
    patients = np.array([f"p{number:02d}" for number in range(len(labels))])
    files = RunFiles(
        run=f"seed-{seed}-{title}",
        rounds=rounds,
        clients=pd.DataFrame(),
        test={**auc, "round": 1.0 + int(np.argmax(validation))},
        scores={"test": SplitScores(labels, scores, patients)},
        facts={"data_digest": digest, "versions": {"code": "abc", "numpy": "1"}, **facts},
    )
    return Outcome(seed, title, files)

"""Trials of `run.py tune`: trainings on folds, judged by validation and pruned by round.

Optuna (Akiba et al. 2019, "Optuna: A next-generation hyperparameter optimization framework") proposes the
values, keeps the trials in a journal and decides which ones are pruned.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd

from commands.repetitions import Repetition
from commands.run_request import RunRequest
from commands.search_space import AS_SET, Search, options_of
from helpers.reporting.run_files import read_run
from helpers.run_records.files import RunFolders, remove
from helpers.settings.errors import ConfigError, UserError

STARTUP_TRIALS = 5
"""Number of trials before any is pruned, and before Optuna's sampler uses what it has learned."""

Train = Callable[[RunRequest, Callable[[], None]], int]
"""Trains one run; returns its status, or raises ConfigError where its values cannot be trained with. It calls
its second argument often, which may stop it by an error."""


class TrainingStopped(Exception):
    """A training was interrupted, or the cluster could not finish it."""

    def __init__(self, status: int) -> None:
        super().__init__(f"a training ended with status {status}")
        self.status = status


@dataclass
class Tuning:
    """The trials of one search.

    Attributes:
        folders: hold the folders of its runs, which are no runs of METRICS_DIR.
        folds: folders of the prepared images of each fold.
        searches: the settings that are tuned.
        arguments: options of all trainings.
        num_workers: number of workers, if it is given.
        rounds: of each training.
        train: trains one run.
        say: receives one line.
    """

    folders: RunFolders
    folds: Sequence[Path]
    searches: Sequence[Search]
    arguments: Sequence[str]
    num_workers: int | None
    rounds: int
    train: Train
    say: Callable[[str], None] = print
    as_set: list[float] = field(default_factory=list)

    def run(self, study: "optuna.Study", trials: int) -> None:
        """Train with the settings as they are, then trials until there are this many.

        Raises:
            TrainingStopped: a training did not end by itself. The same call continues.
        """
        self.as_set = self._aucs(AS_SET, {})
        _try_again(study)
        done = len(_ended(study))
        try:
            study.optimize(self._objective, n_trials=max(0, trials - done))
        except TrainingStopped:
            study.enqueue_trial(study.trials[-1].params)
            raise

    def _objective(self, trial: "optuna.trial.Trial") -> float:
        values = {search.name: search.suggest(trial) for search in self.searches}

        def report(fold: int, aucs: Sequence[float]) -> None:
            """Report a round: the mean over the folds so far, this one's with its best round so far."""
            before = trial.user_attrs.get("folds", [])
            step, mean = fold * self.rounds + len(aucs), float(np.mean([*before, max(aucs)]))
            trial.report(mean, step)
            if step >= max(1, self.rounds // 3) and is_behind(mean, step, _complete(trial.study)):
                raise optuna.TrialPruned

        title = f"trial {trial.number}"
        try:
            return float(np.mean(self._aucs(title, values, report, keep=trial.set_user_attr)))
        except ConfigError as error:
            self.say(f"{title}: {error}")
            raise optuna.TrialPruned from None

    def _aucs(
        self,
        title: str,
        values: dict[str, Any],
        report: Callable[[int, Sequence[float]], None] = lambda fold, rounds: None,
        keep: Callable[[str, Any], None] = lambda name, value: None,
    ) -> list[float]:
        """Return the best validation AUC of each fold.

        Args:
            title: of the trial, for lines of progress.
            values: of the tuned settings.
            report: called after each round with the fold and the AUCs of its rounds.
            keep: stores the AUCs of the folds so far.
        """
        aucs: list[float] = []
        shown = " ".join(options_of(values)) or "settings as they are"
        for fold, folder in enumerate(self.folds):
            run = f"{_digest(values)}-fold-{fold + 1}"
            repetition = Repetition(f"fold {fold + 1}", run, tuple(options_of(values)), folder)
            auc = self._train(repetition, partial(report, fold))
            aucs.append(auc)
            keep("folds", list(aucs))
            self.say(f"{title}, fold {fold + 1} of {len(self.folds)}: validation AUC {auc:.3f}  {shown}")
        return aucs

    def _train(self, repetition: Repetition, report: Callable[[Sequence[float]], None]) -> float:
        """Train one fold, unless it is finished; return its best validation AUC. Its models are deleted."""
        request, run = repetition.request(self.arguments, self.num_workers), repetition.run
        models = self.folders.models / run
        if request is not None:
            try:
                status = self.train(
                    request, RoundWatch(self.folders.metrics / run / "rounds.csv", report).look
                )
            except optuna.TrialPruned:
                remove(models)
                raise
            if status == 2 and not request.is_resumed:  # values that trained before are not refused now
                raise ConfigError(f"{run}: these values are refused; its log says why")
            if status:
                raise TrainingStopped(status)
        remove(models)
        return float(read_run(self.folders.metrics, self.folders.models, run).best_aucs.max())


class RoundWatch:
    """Reports the validation AUC of each new round of a run that is being trained.

    Args:
        file: its rounds.csv.
        report: receives the AUCs of all rounds so far; an undefined one is 0.
    """

    def __init__(self, file: Path, report: Callable[[Sequence[float]], None]) -> None:
        self._file = file
        self._report = report
        self._changed = 0
        self._rounds = 0

    def look(self) -> None:
        """Read the file if it has changed, and report."""
        try:
            changed = self._file.stat().st_mtime_ns
            if changed == self._changed:
                return
            aucs = pd.read_csv(self._file)["roc_auc"].fillna(0.0).tolist()
        except (OSError, ValueError, LookupError):  # not there yet
            return
        self._changed = changed
        if len(aucs) > self._rounds:
            self._rounds = len(aucs)
            self._report(aucs)


def open_study(file: Path, name: str, facts: dict[str, Any], *, seed: int) -> "optuna.Study":
    """Return the study whose trials are in a file; a new one if there is none.

    Raises:
        UserError: the file has trials of other settings, images or values.
    """
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    file.parent.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(file))),
        study_name=name,
        load_if_exists=True,
        direction="maximize",
        pruner=optuna.pruners.NopPruner(),  # `is_behind` ends trials
    )
    # A sampler with the same seed would propose again what it proposed before the interruption.
    seed = (seed + len(study.get_trials(deepcopy=False))) % 2**32
    study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP_TRIALS)
    before, facts = study.user_attrs.get("facts", facts), json.loads(json.dumps(facts))
    if before != facts:
        changed = [key for key in facts if before.get(key) != facts[key]]
        raise UserError(
            f"{file}: has trials with other {', '.join(changed)}; set them back, or name another --run"
        )
    study.set_user_attr("facts", facts)
    return study


def table_of(study: "optuna.Study", as_set: Sequence[float]) -> pd.DataFrame:
    """Return one row per trial, the best first, and one for the settings as they are.

    `gain` is the mean over the folds of the AUC minus that of the settings as they are, and `gain_sd` the
    standard deviation of these differences. Trials that were pruned come last, without gain.
    """
    rows: list[dict[str, Any]] = [{"trial": AS_SET, "state": "complete", **_of_folds(as_set, as_set)}]
    for trial in _ended(study):
        is_complete = trial.state is optuna.trial.TrialState.COMPLETE
        of_folds = _of_folds(trial.user_attrs["folds"], as_set) if is_complete else {}
        rows.append(
            {"trial": str(trial.number), "state": trial.state.name.lower(), **of_folds, **trial.params}
        )
    return pd.DataFrame(rows).sort_values("validation_auc", ascending=False, kind="stable")


def _of_folds(aucs: Sequence[float], as_set: Sequence[float]) -> dict[str, float]:
    gains = np.subtract(aucs, as_set)
    return {
        "validation_auc": float(np.mean(aucs)),
        "sd": float(np.std(aucs, ddof=1)),
        "gain": float(gains.mean()),
        "gain_sd": float(gains.std(ddof=1)),
        **{f"fold_{number}": auc for number, auc in enumerate(aucs, 1)},
    }


def is_behind(mean: float, step: int, complete: Sequence["optuna.trial.FrozenTrial"]) -> bool:
    """Whether a mean is below the median at the same step, once enough trials are complete.

    Optuna's own pruners compare the best mean of the trial so far, which an easy first fold decides.
    """
    means = [trial.intermediate_values[step] for trial in complete if step in trial.intermediate_values]
    return len(complete) >= STARTUP_TRIALS and bool(means) and mean < float(np.median(means))


def _complete(study: "optuna.Study") -> list["optuna.trial.FrozenTrial"]:
    return study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))


def _ended(study: "optuna.Study") -> list["optuna.trial.FrozenTrial"]:
    """Return the trials that count: complete, or ended early. Interrupted ones are tried again."""
    states = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    return study.get_trials(deepcopy=False, states=states)


def _try_again(study: "optuna.Study") -> None:
    """Queue the trials of a killed process; their finished folds are not trained again."""
    for trial in study.get_trials(deepcopy=False):
        if trial.state is optuna.trial.TrialState.RUNNING:
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
            study.enqueue_trial(trial.params)


def _digest(values: dict[str, Any]) -> str:
    """Return a name for values of settings."""
    return hashlib.sha256(json.dumps(options_of(values)).encode()).hexdigest()[:8]

"""Observer that records a run in MLflow: settings, metrics of each round, artifacts and the model.

`OBSERVERS=mlflow` uses it. It needs requirements-mlflow.txt. Artifacts are the anonymous copy of the results:
a tracking server may be read by others.
"""

import hashlib
import logging
import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

from helpers.federated.observers import Observer
from helpers.federated.results import RoundResult, RunState
from helpers.global_config import Config
from helpers.reporting.anonymous import write_anonymous
from helpers.reporting.run_files import RunFiles, read_run
from helpers.run_records.files import RunFolders
from helpers.settings.errors import ConfigError, how_to_install

EXPERIMENT = "breast-training"
TAG = "breast_training.folder"
"""Has a digest of the folder of a run, so that a resumed run goes on in MLflow."""
MODEL_CODE = Path(__file__).with_name("mlflow_model.py")
PACKAGES = ("keras", "numpy", "tensorflow")
"""The packages that the model needs, as `versions` in run.json names them."""


class MLflowObserver(Observer):
    """Records a run in the tracking store of MLFLOW_TRACKING_URI, by default mlflow.db next to METRICS_DIR.

    Args:
        config: the run's settings.
        folders: the run's folders.

    Raises:
        ConfigError: MLflow is not installed.
    """

    def __init__(self, config: Config, folders: RunFolders) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # it would report its use to its makers
        try:
            import mlflow
        except ImportError:
            raise ConfigError(f"OBSERVERS: mlflow needs a package; {how_to_install('mlflow')}") from None
        logging.getLogger("mlflow").setLevel(logging.WARNING)  # the terminal belongs to the run
        self._mlflow = mlflow
        self._config = config
        self._folders = folders
        self._has_begun = False

    def run_started(self, run: str, state: RunState, rounds: int) -> None:
        self._open_store()
        place = hashlib.sha256(str(self._folders.metrics.absolute()).encode()).hexdigest()[:16]
        earlier = self._mlflow.search_runs(
            experiment_names=[EXPERIMENT], filter_string=f"tags.`{TAG}` = '{place}'", output_format="list"
        )
        is_resumed = state.round > 0 and bool(earlier)
        self._mlflow.start_run(run_id=earlier[0].info.run_id if is_resumed else None, run_name=run)
        self._has_begun = True
        self._mlflow.set_tag(TAG, place)
        if not is_resumed:
            settings = self._config.for_run()
            self._mlflow.log_params({name: str(value)[:6000] for name, value in settings.items()})

    def round_finished(self, result: RoundResult) -> None:
        self._mlflow.log_metrics(_numbers(result.metrics), step=int(result.metrics["round"]))

    def close(self) -> None:
        if not self._has_begun:
            return
        files = read_run(self._config.METRICS_DIR, self._config.MODELS_DIR, self._folders.metrics.name)
        try:
            if files.is_finished:
                self._record_end(files)
        finally:
            self._mlflow.end_run("FINISHED" if files.is_finished else "KILLED")

    def _open_store(self) -> None:
        """Use the store that the user's environment names, otherwise a file on this machine."""
        location = None
        if not os.environ.get("MLFLOW_TRACKING_URI"):
            place = self._config.METRICS_DIR.absolute().parent
            self._mlflow.set_tracking_uri(f"sqlite:///{place / 'mlflow.db'}")
            location = (place / "mlruns").as_uri()
        if self._mlflow.get_experiment_by_name(EXPERIMENT) is None:
            self._mlflow.create_experiment(EXPERIMENT, artifact_location=location)
        self._mlflow.set_experiment(EXPERIMENT)

    def _record_end(self, files: RunFiles) -> None:
        """Record the test, the results and the model, as far as they are on this machine."""
        self._mlflow.log_metrics({f"test_{name}": value for name, value in _numbers(files.test).items()})
        self._mlflow.set_tag("data_digest", files.facts.get("data_digest"))
        self._mlflow.set_tag("best_round", files.best_round)
        with tempfile.TemporaryDirectory() as folder:
            results = Path(folder) / self._folders.metrics.name
            write_anonymous(self._config.METRICS_DIR, self._config.MODELS_DIR, files.run, results)
            self._mlflow.log_artifacts(str(results), "results")
        model = self._folders.models / "best.keras"
        if model.is_file():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # asks for an example, which would load Keras
                self._log_model(model, files)

    def _log_model(self, model: Path, files: RunFiles) -> None:
        """Record the best model with its signature. Keras is imported only where the model is used."""
        import numpy as np
        from mlflow.models import ModelSignature
        from mlflow.types import Schema, TensorSpec

        shape = (-1, *self._config.INPUT_SHAPE, self._config.INPUT_DIM)
        outputs = 1 if files.is_binary else len(files.class_names)
        self._mlflow.pyfunc.log_model(
            name="model",
            python_model=str(MODEL_CODE),
            artifacts={"keras": str(model)},
            signature=ModelSignature(
                Schema([TensorSpec(np.dtype(np.float32), shape, "images")]),
                Schema([TensorSpec(np.dtype(np.float32), (-1, outputs), "probabilities")]),
            ),
            pip_requirements=[
                f"{name}=={files.versions[name]}" for name in PACKAGES if name in files.versions
            ],
            metadata={"classes": list(files.class_names), "threshold": files.threshold, "values": "0 to 1"},
        )


def _numbers(row: dict[str, Any]) -> dict[str, float]:
    """Return the defined numbers of a row of rounds.csv or test.csv."""
    return {
        name: float(value)
        for name, value in row.items()
        if isinstance(value, int | float) and name != "round" and value == value
    }

"""The model that MLflow stores gives the numbers of the Keras file."""

import keras
import numpy as np
import pytest

pytest.importorskip("mlflow", reason="python -m pip install -r requirements-mlflow.txt")

import mlflow

from helpers.monitoring.mlflow_observer import MODEL_CODE


def test_it_predicts_as_keras_does(tmp_path):
    layers = [keras.layers.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(1, "sigmoid")]
    model = keras.Sequential(layers)
    model.save(tmp_path / "best.keras")
    images = np.random.default_rng(0).random((5, 4, 4, 1), np.float32)
    place = str(tmp_path / "model")
    artifacts = {"keras": str(tmp_path / "best.keras")}
    mlflow.pyfunc.save_model(place, python_model=str(MODEL_CODE), artifacts=artifacts, pip_requirements=[])
    probabilities = mlflow.pyfunc.load_model(place).predict(images)
    np.testing.assert_allclose(probabilities, model.predict(images, verbose=0), atol=1e-6)

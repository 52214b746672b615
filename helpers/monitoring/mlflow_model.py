"""Code that MLflow stores with a recorded model and runs where the model is used."""

from typing import Any

import mlflow
import numpy as np


class KerasModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """The best model of a run: float32 images (N, H, W, C) from 0 to 1, to probabilities (N, 1) or (N, k)."""

    def load_context(self, context: Any) -> None:
        """Load the Keras file."""
        import keras

        self._model = keras.models.load_model(context.artifacts["keras"], compile=False)

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # MLflow reads hints
        """Return the probability of class 1, or of each class."""
        return np.asarray(self._model.predict(np.asarray(model_input, np.float32), verbose=0))


mlflow.models.set_model(KerasModel())

"""Custom networks: what is accepted and refused, and that they train."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from helpers.architectures.building import Recipe, build, names_of
from helpers.architectures.custom_model import imported
from helpers.global_config import Config
from helpers.local_training.trainer import predict_scores, train_locally
from helpers.model_instance_helper import initial_weights, keras_file, model_for
from helpers.settings.errors import ConfigError

ROOT = Path(__file__).resolve().parents[4]
HERE = "tests.model.custom_networks"
IMAGES = np.random.default_rng(0).random((8, 16, 16, 1), np.float32)
LABELS = (np.arange(8) % 2).astype(np.float32).reshape(-1, 1)
GOOD = f"{HERE}:good"
PRINT_NAMES = f"""
import json
from helpers.architectures.building import Recipe, build, names_of
print(json.dumps(names_of(build(Recipe("{GOOD}", (16, 16, 1), 2, 0.99, False, True, "float32", True)))))
"""


def config_of(name: str, **settings) -> Config:
    reference = f"{HERE}:{name}"
    own = {"ARCHITECTURE": reference, "OWN_ARCHITECTURES": (reference,)}
    return Config(**own, **{"INPUT_SHAPE": (16, 16), "INPUT_DIM": 1} | settings)


def train(config: Config, seed: int) -> list:
    import tensorflow as tf

    batches = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(4)
    weights = initial_weights(config)
    return train_locally(model_for(config), weights, batches, learning_rate=0.01, seed=[seed]).weights


def test_it_trains_and_its_file_opens_in_plain_keras(tmp_path) -> None:
    config = config_of("good")
    first, again, other = (train(config, seed) for seed in (1, 1, 2))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    # The dropout is in a model within the model: it has to follow from the seed as well.
    assert any((a != b).any() for a, b in zip(first, other, strict=True))
    file = tmp_path / "own.keras"
    file.write_bytes(keras_file(config, first))
    model_for(config).model.set_weights(first)
    opened = keras.models.load_model(file).predict(IMAGES, verbose=0).reshape(-1)
    np.testing.assert_array_equal(opened, predict_scores(model_for(config), [IMAGES]))


def test_batch_norm_within_a_model_within_it_can_stay_with_the_client() -> None:
    instance = model_for(config_of("good", BATCH_NORM="local", BATCH_NORM_MOMENTUM=0.5))
    assert sum(instance.normalizing) == 4
    (norm,) = [layer for layer in instance.model.layers[-2].layers if "batch" in layer.name]
    assert norm.momentum == 0.5


def test_names_are_the_same_in_every_process_although_no_layer_has_one() -> None:
    keras.layers.Dense(1), keras.layers.Conv2D(1, 1)  # Keras counts on
    here = names_of(build(Recipe.of(config_of("good"))))
    assert len(set(here)) == len(here) == 10
    there = subprocess.run([sys.executable, "-c", PRINT_NAMES], cwd=ROOT, capture_output=True, text=True)
    assert json.loads(there.stdout.splitlines()[-1]) == here, there.stderr


def test_it_is_trained_in_another_precision() -> None:
    plain, mixed = (model_for(config_of("good", PRECISION=name)) for name in ("float32", "mixed_bfloat16"))
    assert mixed.schema == plain.schema
    assert mixed.model.layers[1].compute_dtype == "bfloat16"
    with pytest.raises(ConfigError, match="with output bfloat16; give its last layer dtype='float32'"):
        build(Recipe.of(config_of("without_dtype", PRECISION="mixed_bfloat16")))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("absent", "has no function or class absent"),
        ("NOT_A_FUNCTION", "has no function or class NOT_A_FUNCTION"),
        ("too_deep", r"fails for images \(16, 16, 1\): ValueError: "),
        ("of_bytes", "a bytes, expected an uncompiled keras.Model"),
        ("compiled", "a compiled model; leave out compile"),
        ("two_outputs", r"output \(None, 2\), expected \(None, 16, 16, 1\) and \(None, 1\)"),
        ("without_sigmoid", "no sigmoid"),
        ("with_custom_layer", "a model with Twice, which keras.models.load_model alone cannot open"),
        ("with_custom_function", "a model with custom, which"),
        ("with_lambda", "a model with Lambda"),
        ("of_integers", "normalization/count are not float32"),
        ("of_half", "with output float16"),
        ("of_one_name", "two weights named same/bias"),
        ("of_old_layers", "must return a new model with the same names at every call"),
    ],
)
def test_unusable_networks_are_refused_in_one_line(name: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=f"^ARCHITECTURE: .*{HERE}.*{reason}") as caught:
        build(Recipe.of(config_of(name)))
    assert "\n" not in str(caught.value)


def test_the_number_of_classes_is_passed_if_there_are_several(tmp_path) -> None:
    config = config_of("of_any_classes", CLASS_NAMES=("a", "b", "c"))
    weights = initial_weights(config)
    instance = model_for(config)
    assert (instance.model.output_shape, instance.loss) == ((None, 3), "sparse_categorical_crossentropy")
    instance.model.set_weights(weights)
    scores = predict_scores(instance, [IMAGES])
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=0, atol=1e-6)
    file = tmp_path / "own.keras"
    file.write_bytes(keras_file(config, weights))
    np.testing.assert_array_equal(keras.models.load_model(file).predict(IMAGES, verbose=0), scores)
    assert model_for(config_of("of_any_classes")).model.output_shape == (None, 1)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("good", r"has no argument num_classes, and there are 3 .* as good\(input_shape, num_classes=2\)$"),
        ("of_two_units", r"output \(None, 2\), expected \(None, 16, 16, 1\) and \(None, 3\)"),
        ("without_softmax", r"has no softmax, expected Dense\(3, 'softmax'\)"),
    ],
)
def test_networks_that_do_not_fit_several_classes_are_refused_in_one_line(name: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=f"^ARCHITECTURE: {HERE}:{name} .*{reason}"):
        build(Recipe.of(config_of(name, CLASS_NAMES=("a", "b", "c"))))


def test_a_module_that_cannot_be_imported_is_named() -> None:
    recipe = replace(Recipe.of(config_of("good")), architecture="no.such.module:build")
    with pytest.raises(ConfigError, match=r"importing no\.such\.module failed: ModuleNotFoundError"):
        build(recipe)


def test_a_worker_started_with_the_script_celery_finds_a_module_in_the_projects_folder(monkeypatch) -> None:
    elsewhere = [folder for folder in sys.path if Path(folder).resolve() != ROOT]
    monkeypatch.setattr(sys, "path", elsewhere)
    monkeypatch.delitem(sys.modules, "distributed_training_index", raising=False)
    assert callable(imported("distributed_training_index:main"))


def test_an_order_cannot_make_a_worker_import_what_its_owner_did_not_name(monkeypatch) -> None:
    monkeypatch.setenv("DT_OWN_ARCHITECTURES", "mynets:build")
    run = Config(ARCHITECTURE="antigravity:build", OWN_ARCHITECTURES=("antigravity:build",)).for_run()
    assert "OWN_ARCHITECTURES" not in run
    with pytest.raises(ConfigError, match="does not allow; if you trust it, start the workers with DT_OWN"):
        model_for(Config.from_run(run))
    assert "antigravity" not in sys.modules

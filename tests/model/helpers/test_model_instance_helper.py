"""The network, and the model that is kept between rounds: as good as a new one."""

from typing import Any

import keras
import numpy as np
import pytest

from helpers.architectures.seed_cnn import build_seed_cnn
from helpers.global_config import Config
from helpers.local_training.trainer import predict_scores, train_locally
from helpers.model_instance_helper import ModelInstance, initial_weights, keras_file, model_for
from helpers.settings.errors import ConfigError

CONFIG = Config(INPUT_SHAPE=(16, 16))
IMAGES = np.random.default_rng(0).random((12, 16, 16, 3), np.float32)
LABELS = (np.arange(12) % 2).astype(np.float32).reshape(-1, 1)


def batches(size: int = 4) -> list:
    """A data set, by default of three batches, as Keras' `fit` takes it."""
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(size)


def train(instance: ModelInstance, weights: list, seed: int = 1):
    return train_locally(instance, weights, batches(), learning_rate=0.01, seed=[seed])


def assert_same(first: list, second: list) -> None:
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_network_is_the_readmes() -> None:
    model = build_seed_cnn((128, 128, 3))
    assert model.count_params() == 1_809_985
    kinds = [type(layer).__name__ for layer in model.layers]
    feature = ["Conv2D", "MaxPooling2D", "BatchNormalization", "Dropout"]
    assert kinds == [
        *feature, *feature, "Conv2D", "BatchNormalization", "Flatten", "Dense", "Dropout", "Dense", "Dense",
    ]  # fmt: skip
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert [(layer.filters, layer.kernel_size) for layer in convolutions] == [
        (128, (3, 3)), (64, (3, 3)), (32, (2, 2)),
    ]  # fmt: skip
    dropouts = [layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    assert dropouts == [0.2, 0.1, 0.1]
    assert [layer.activation.__name__ for layer in model.layers if hasattr(layer, "activation")] == [
        "relu", "relu", "relu", "relu", "relu", "sigmoid",
    ]  # fmt: skip


def test_every_process_gives_the_weights_the_same_names() -> None:
    first, second = (build_seed_cnn((16, 16, 3)) for _ in range(2))
    names = [variable.path for variable in first.weights]
    assert names == [variable.path for variable in second.weights]
    assert len(set(names)) == len(names) == len(first.get_weights())


def test_moving_statistics_are_not_trainable_and_all_else_is() -> None:
    instance = model_for(CONFIG)
    fixed = {
        name for name, is_trained in zip(instance.names, instance.trainable, strict=True) if not is_trained
    }
    kinds = [f"seed_cnn/norm_{layer}/moving_{kind}" for layer in (1, 2, 3) for kind in ("mean", "variance")]
    assert fixed == set(kinds)


def test_initial_weights_follow_from_the_seed() -> None:
    assert_same(initial_weights(CONFIG), initial_weights(CONFIG))
    other = initial_weights(Config(INPUT_SHAPE=(16, 16), SEED=1))
    assert any((a != b).any() for a, b in zip(initial_weights(CONFIG), other, strict=True))


def test_a_used_model_trains_like_a_new_one() -> None:
    weights = initial_weights(CONFIG)
    used = model_for(CONFIG)
    first = train(used, weights)
    train(used, first.weights, seed=9)
    again = train(used, weights)
    new = build_seed_cnn((16, 16, 3))
    fresh = train(ModelInstance(new), weights)
    assert_same(first.weights, again.weights)
    assert_same(first.weights, fresh.weights)
    assert first.loss == again.loss == fresh.loss


def test_the_seed_decides_the_dropout() -> None:
    weights = initial_weights(CONFIG)
    first, other = (train(model_for(CONFIG), weights, seed) for seed in (1, 2))
    assert any((a != b).any() for a, b in zip(first.weights, other.weights, strict=True))


def test_it_is_asked_after_every_batch_and_stops_at_a_no() -> None:
    asked: list[int] = []

    def go_on(num_batches: int) -> bool:
        asked.append(num_batches)
        return num_batches < 2

    weights = initial_weights(CONFIG)
    update = train_locally(model_for(CONFIG), weights, batches(), learning_rate=0.01, seed=[1], go_on=go_on)
    assert asked == [1, 2]
    assert update.num_batches == 2
    assert train(model_for(CONFIG), weights).num_batches == 3


def test_class_weights_change_the_training_but_not_what_its_loss_means() -> None:
    weights, one_batch = initial_weights(CONFIG), batches(len(IMAGES))
    plain, weighted = (
        train_locally(
            model_for(CONFIG), weights, one_batch, learning_rate=0.01, seed=[1], class_weight=class_weight
        )
        for class_weight in (None, {0: 0.5, 1: 9.0})
    )
    assert plain.loss == weighted.loss  # of the one step: before either update
    assert any((a != b).any() for a, b in zip(plain.weights, weighted.weights, strict=True))


def test_a_loss_that_is_not_finite_is_an_error() -> None:
    broken = [np.full_like(layer, np.nan) for layer in initial_weights(CONFIG)]
    with pytest.raises(FloatingPointError, match="lower BASE_LR"):
        train(model_for(CONFIG), broken)


def test_saved_models_open_in_plain_keras(tmp_path) -> None:
    weights = train(model_for(CONFIG), initial_weights(CONFIG)).weights
    path = tmp_path / "best.keras"
    path.write_bytes(keras_file(CONFIG, weights))
    opened = keras.models.load_model(path)
    assert_same(opened.get_weights(), weights)
    model_for(CONFIG).model.set_weights(weights)
    expected = predict_scores(model_for(CONFIG), [IMAGES])
    np.testing.assert_array_equal(opened.predict(IMAGES, verbose=0).reshape(-1), expected)
    assert len(keras_file(CONFIG, weights)) < 2 * sum(layer.nbytes for layer in weights) + 100_000


def test_saved_models_of_several_classes_open_in_plain_keras(tmp_path) -> None:
    config = Config(INPUT_SHAPE=(16, 16), TRAIN_STEP="fast", CLASS_NAMES=("a", "b", "c"))
    instance = model_for(config)
    weights = train(instance, initial_weights(config)).weights
    path = tmp_path / "best.keras"
    path.write_bytes(keras_file(config, weights))
    instance.model.set_weights(weights)
    scores = predict_scores(instance, [IMAGES])
    assert (scores.shape, scores.dtype) == ((12, 3), np.float32)
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=0, atol=1e-6)
    np.testing.assert_allclose(
        keras.models.load_model(path).predict(IMAGES, verbose=0), scores, rtol=0, atol=1e-6
    )


def test_batch_norm_momentum_is_what_its_averages_keep() -> None:
    first_batch = batches().take(1)  # its images' mean does not depend on the momentum
    means = []
    for momentum in (0.5, 0.9):
        instance = model_for(CONFIG.model_copy(update={"BATCH_NORM_MOMENTUM": momentum}))
        train_locally(instance, initial_weights(CONFIG), first_batch, learning_rate=0.01, seed=[1])
        means.append(instance.model.get_layer("norm_1").moving_mean.numpy())
    np.testing.assert_allclose(means[0], 5 * means[1], rtol=1e-5)  # (1 - 0.5) / (1 - 0.9)


def own_network(function: str, **settings: Any) -> Config:
    name = f"tests.model.custom_networks:{function}"
    return Config(INPUT_SHAPE=(16, 16), ARCHITECTURE=name, OWN_ARCHITECTURES=(name,), **settings)


def test_a_network_whose_last_layer_has_no_bias_has_no_logits_to_adjust() -> None:
    name = "tests.model.custom_networks:without_bias"
    config = Config(INPUT_SHAPE=(16, 16), ARCHITECTURE=name, OWN_ARCHITECTURES=(name,), LOGIT_ADJUSTMENT=True)
    with pytest.raises(ConfigError, match=f"^LOGIT_ADJUSTMENT: the last layer of {name} has no bias"):
        model_for(config)


def test_a_run_with_the_fast_step_continues_a_saved_model(tmp_path) -> None:
    weights = initial_weights(CONFIG)
    (tmp_path / "best.keras").write_bytes(keras_file(CONFIG, weights))
    changes = {"TRAIN_STEP": "fast", "PRETRAINED": "best.keras", "PRETRAINED_DIR": tmp_path, "SEED": 7}
    assert_same(initial_weights(CONFIG.model_copy(update=changes)), weights)


@pytest.mark.parametrize("kind", ["example", "client"])
def test_an_own_network_with_batch_normalization_is_refused_in_a_private_run(kind: str) -> None:
    private = {"DP": kind, "DP_NOISE_MULTIPLIER": 1, "MAX_UPDATE_RATIO": 0}
    with pytest.raises(ConfigError, match="trainable batch normalization; set ARCHITECTURE=seed_cnn_groupn"):
        model_for(own_network("normalized", **private))


@pytest.mark.parametrize(
    ("name", "value"),
    [("BATCH_NORM", "local"), ("BATCH_NORM_MOMENTUM", 0.9), ("BATCH_NORM_STATISTICS", "round")],
)
def test_an_own_network_without_batch_normalization_has_no_settings_for_it(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"^{name}: received .*: it has no batch normalization"):
        model_for(own_network("without_bias", **{name: value}))

"""Laws of the clients' algorithms: what they must equal, computed some other way."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from helpers.architectures.seed_cnn import build_seed_cnn
from helpers.federated.aggregation import weighted_mean
from helpers.federated.logit_adjustment import prior_logits
from helpers.federated.weights import Weights
from helpers.global_config import Config
from helpers.local_training.client_optimizer import GradientTerms, client_optimizer
from helpers.local_training.round_statistics import RoundStatistics
from helpers.local_training.trainer import train_locally
from helpers.model_instance_helper import ModelInstance, initial_weights, model_for
from preprocessing.feed.input_pipeline import training_batches

SMALL = {"INPUT_SHAPE": (16, 16)}
CONFIG = Config(BASE_LR=0.01, **SMALL)
GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.integers(0, 256, (10, 16, 16, 3), np.uint8)
LABELS = (np.arange(10) % 2).astype(np.int32)
POINTS = GENERATOR.normal(size=(12, 3)).astype(np.float32)
CLASSES = (POINTS @ np.array([1, -2, 0.5], np.float32) > 0).astype(np.float32).reshape(-1, 1)
W0 = np.array([[0.3], [-0.1], [0.2]])
THREE_CLASSES = (np.arange(12) % 3).astype(np.float32).reshape(-1, 1)
W0_OF_THREE = np.array([[0.3, 0.0, -0.2], [-0.1, 0.4, 0.1], [0.2, -0.3, 0.0]])


def assert_same(first: Weights, second: Weights) -> None:
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def one_round(
    config: Config, weights: Weights, seed: list[int], learning_rate: float = 0.01, **terms: Any
) -> Weights:
    batches = training_batches(
        IMAGES, LABELS, np.arange(10), batch_size=4, epochs=1, augmentation_name="readme", seed=seed
    )
    instance = model_for(config)
    update = train_locally(instance, weights, batches, learning_rate=learning_rate, seed=seed, **terms)
    return update.weights


def logistic_model(**options: Any) -> ModelInstance:
    """p = sigmoid(x · w), without a bias, trained by plain SGD."""
    layers = [keras.layers.Input((3,)), keras.layers.Dense(1, "sigmoid", use_bias=False)]
    return ModelInstance(keras.Sequential(layers), client_optimizer("sgd", **options))


def gradient(points: np.ndarray, classes: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Of the mean binary cross-entropy of `logistic_model`, float64."""
    return points.astype(np.float64).T @ (1 / (1 + np.exp(-points @ w)) - classes) / len(points)


def softmax_model(**options: Any) -> ModelInstance:
    """p = softmax(x · w) of three classes, without a bias, trained by plain SGD."""
    layers = [keras.layers.Input((3,)), keras.layers.Dense(3, "softmax", use_bias=False)]
    return ModelInstance(keras.Sequential(layers), client_optimizer("sgd"), **options)


def softmax_losses(
    points: np.ndarray, classes: np.ndarray, w: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of `softmax_model`, float64: labels (N,), cross-entropy of each image (N,), its gradient (N, 3, 3)."""
    labels = classes.astype(int).reshape(-1)
    powers = np.exp(points.astype(np.float64) @ w)
    p = powers / powers.sum(axis=1, keepdims=True)
    losses = -np.log(p[np.arange(len(p)), labels])
    return labels, losses, points[:, :, None] * (p - np.eye(3)[labels])[:, None, :]


def steps(instance: ModelInstance, weights: Weights, points: Any, classes: Any, batch_size: int) -> Weights:
    batches = tf.data.Dataset.from_tensor_slices((points, classes)).batch(batch_size)
    return train_locally(instance, weights, batches, learning_rate=0.5, seed=[0]).weights


SGD = {"OPTIMIZER": "sgd", "MOMENTUM": 0.9, "NESTEROV": True}


@pytest.mark.parametrize(
    ("settings", "kind", "options"),
    [
        ({}, keras.optimizers.Adam, {}),
        (
            {"LR_SCHEDULE": "cosine", "EPOCHS": 3, "OPTIMIZER_STATE": "keep", "WEIGHT_DECAY": 0.1},
            keras.optimizers.AdamW,
            {"weight_decay": 0.1},
        ),
        (
            {**SGD, "WEIGHT_DECAY": 0.1, "MAX_GRADIENT_NORM": 0.5, "LABEL_SMOOTHING": 0.2},
            keras.optimizers.SGD,
            {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1, "global_clipnorm": 0.5},
        ),
        ({"BATCH_NORM_STATISTICS": "round"}, keras.optimizers.Adam, {}),
    ],
    ids=["adam", "kept", "sgd", "round_statistics"],
)
def test_one_client_is_plain_keras(
    settings: dict[str, Any], kind: type[keras.Optimizer], options: dict[str, Any]
) -> None:
    config = Config(BASE_LR=0.01, **settings, **SMALL)
    federated = initial_weights(config)
    rates = [0.01, 0.0075, 0.0025] if config.LR_SCHEDULE == "cosine" else [0.01] * 3
    state: Weights = []
    plain = build_seed_cnn((16, 16, 3))
    plain.set_weights(federated)
    norms = [layer for layer in plain.layers if isinstance(layer, keras.layers.BatchNormalization)]
    callbacks = []
    if config.BATCH_NORM_STATISTICS == "round":
        statistics = RoundStatistics(norms, 0.99)
        begin_step = lambda batch, logs: statistics.begin_step(batch + 1)  # noqa: E731
        callbacks.append(keras.callbacks.LambdaCallback(on_train_batch_begin=begin_step))
    for number, rate in enumerate(rates, 1):
        seed = [42, number, 0]
        trained = one_round(config, federated, seed, config.learning_rate_in(number), optimizer_state=state)
        federated = weighted_mean([(trained, 10.0)])
        dropouts = [layer for layer in plain.layers if isinstance(layer, keras.layers.Dropout)]
        for index, layer in enumerate(dropouts):  # the same masks
            layer.seed_generator.state.assign(np.random.SeedSequence([*seed, index]).generate_state(2))
        if config.OPTIMIZER_STATE == "keep":
            state = model_for(config).optimizer_state()
        if number == 1 or not state:
            optimizer = kind(rate, **options)
            optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
            plain.compile(optimizer, keras.losses.BinaryCrossentropy(label_smoothing=config.LABEL_SMOOTHING))
        optimizer.learning_rate = rate
        batches = training_batches(
            IMAGES, LABELS, np.arange(10), batch_size=4, epochs=1, augmentation_name="readme", seed=seed
        )
        images, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
        plain.fit(images, labels, batch_size=4, epochs=1, shuffle=False, verbose=0, callbacks=callbacks)
        assert_same(federated, plain.get_weights())


@pytest.mark.parametrize("num_classes", [2, 3])
def test_a_full_batch_step_of_every_client_is_the_pooled_gradient_step(num_classes: int) -> None:
    if num_classes == 2:
        instance, w0, classes = logistic_model(), W0, CLASSES
        expected = gradient(POINTS, classes, w0)
    else:
        instance, w0, classes = softmax_model(), W0_OF_THREE, THREE_CLASSES
        expected = softmax_losses(POINTS, classes, w0)[2].mean(axis=0)
    start = [w0.astype(np.float32)]
    shares = [slice(0, 2), slice(2, 5), slice(5, 12)]
    updates = [
        (steps(instance, start, POINTS[share], classes[share], 12), float(share.stop - share.start))
        for share in shares
    ]
    (mean,) = weighted_mean(updates)
    (pooled,) = steps(instance, start, POINTS, classes, 12)
    np.testing.assert_allclose(mean, pooled, rtol=0, atol=1e-6)
    np.testing.assert_allclose(pooled, w0 - 0.5 * expected, rtol=0, atol=1e-6)
    assert abs(pooled - w0).max() > 0.1  # a step was made


@pytest.mark.parametrize(("xla", "smoothing"), [(False, 0.0), (True, 0.0), (False, 0.3), (True, 0.3)])
def test_classes_count_as_weights_and_smoothing_say_and_the_loss_is_without(
    xla: bool, smoothing: float
) -> None:
    class_weight = {0: 0.5, 1: 3.0, 2: 1.25}
    batches = tf.data.Dataset.from_tensor_slices((POINTS, THREE_CLASSES)).batch(12)
    start = [W0_OF_THREE.astype(np.float32)]
    update = train_locally(
        softmax_model(xla=xla, label_smoothing=smoothing),
        start,
        batches,
        learning_rate=0.5,
        seed=[0],
        class_weight=class_weight,
    )
    labels, losses, gradients = softmax_losses(POINTS, THREE_CLASSES, W0_OF_THREE)
    weight = np.array([class_weight[label] for label in labels])
    shift = smoothing * (np.eye(3)[labels] - 1 / 3)  # of the target
    gradients = gradients + POINTS[:, :, None] * shift[:, None, :]
    expected = W0_OF_THREE - 0.5 * (weight[:, None, None] * gradients).mean(axis=0)
    np.testing.assert_allclose(update.weights[0], expected, rtol=0, atol=1e-6)
    assert update.loss == pytest.approx(losses.mean(), abs=1e-6)


def linear_model(outputs: int, activation: str) -> ModelInstance:
    """p = activation(x · w + b), trained by plain SGD."""
    layers = [keras.layers.Input((3,)), keras.layers.Dense(outputs, activation)]
    return ModelInstance(keras.Sequential(layers), client_optimizer("sgd"))


@pytest.mark.parametrize("counts", [(3, 9), (6, 2, 0)])
def test_logits_are_adjusted_in_the_gradient_and_nowhere_else(counts: tuple[int, ...]) -> None:
    generator, is_binary, shifts = np.random.default_rng(5), len(counts) == 2, prior_logits(counts)
    instance = linear_model(1, "sigmoid") if is_binary else linear_model(3, "softmax")
    classes = CLASSES if is_binary else THREE_CLASSES
    w = generator.normal(size=(3, len(shifts)))
    b = generator.normal(size=len(shifts))
    batches = tf.data.Dataset.from_tensor_slices((POINTS, classes)).batch(12)
    start = [w.astype(np.float32), b.astype(np.float32)]
    update = train_locally(instance, start, batches, learning_rate=0.5, seed=[0], logit_shifts=shifts)
    logits = POINTS.astype(np.float64) @ w + b + shifts
    if is_binary:
        errors = 1 / (1 + np.exp(-logits)) - classes
    else:
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        errors = p - np.eye(3)[classes.astype(int).reshape(-1)]
    np.testing.assert_allclose(update.weights[0], w - 0.5 * POINTS.T @ errors / 12, rtol=0, atol=1e-6)
    np.testing.assert_allclose(update.weights[1], b - 0.5 * errors.mean(axis=0), rtol=0, atol=1e-6)
    assert_same(instance.model.get_weights(), update.weights)  # what is evaluated next


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_fedprox_without_its_term_is_fedavg(optimizer: str) -> None:
    start = initial_weights(CONFIG)
    plain = one_round(Config(OPTIMIZER=optimizer, **SMALL), start, [1])
    for mu, is_equal in ((0, True), (1, False)):
        config = Config(STRATEGY="fedprox", PROXIMAL_MU=mu, OPTIMIZER=optimizer, **SMALL)
        weights = one_round(config, start, [1])
        assert all((a == b).all() for a, b in zip(weights, plain, strict=True)) is is_equal


def test_weights_decay_and_biases_do_not() -> None:
    layers = [keras.layers.Input((3,)), keras.layers.Dense(1, "sigmoid")]
    optimizer = client_optimizer("sgd", weight_decay=0.5, global_clipnorm=1e-9)  # nothing but the decay
    instance = ModelInstance(keras.Sequential(layers), optimizer)
    kernel, bias = steps(instance, [np.ones((3, 1), np.float32), np.ones(1, np.float32)], POINTS, CLASSES, 4)
    np.testing.assert_allclose(kernel, 0.75**3, rtol=1e-6)  # three steps of 1 - 0.5 · 0.5
    np.testing.assert_allclose(bias, 1, rtol=1e-6)


def test_the_name_of_a_network_does_not_exclude_its_weights_from_decay() -> None:
    layers = [keras.layers.Input((3,)), keras.layers.Dense(1, "sigmoid", use_bias=False, name="bias_free")]
    optimizer = client_optimizer("sgd", weight_decay=0.5, global_clipnorm=1e-9)
    instance = ModelInstance(keras.Sequential(layers, name="beta_net"), optimizer)
    (kernel,) = steps(instance, [np.ones((3, 1), np.float32)], POINTS, CLASSES, 4)
    np.testing.assert_allclose(kernel, 0.75**3, rtol=1e-6)


@pytest.mark.parametrize("mu", [0.0, 0.3, 1.5])
def test_fedprox_pulls_as_its_formula_says(mu: float) -> None:
    instance = logistic_model(proximal_mu=mu)
    steps(instance, [np.ones((3, 1), np.float32)], POINTS, CLASSES, 4)  # an earlier round, from elsewhere
    (weights,) = steps(instance, [W0.astype(np.float32)], POINTS, CLASSES, 4)
    w = W0.copy()
    for start in (0, 4, 8):
        batch = slice(start, start + 4)
        w = w - 0.5 * (gradient(POINTS[batch], CLASSES[batch], w) + mu * (w - W0))
    np.testing.assert_allclose(weights, w, rtol=0, atol=1e-6)


def test_a_scaffold_round_before_anything_was_learnt_is_sgd_with_every_client_alike() -> None:
    start = initial_weights(CONFIG)
    plain = one_round(Config(OPTIMIZER="sgd", **SMALL), start, [1])
    scaffold = Config(OPTIMIZER="sgd", STRATEGY="scaffold", **SMALL)
    first = one_round(scaffold, start, [1])
    for a, b in zip(first, plain, strict=True):  # another graph, which TensorFlow may round otherwise
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)
    terms = {"seed_cnn/dense_1/bias": np.ones(64, np.float32)}
    corrected = one_round(scaffold, start, [1], gradient_terms=terms)
    assert any(abs(a - b).max() > 1e-3 for a, b in zip(corrected, plain, strict=True))
    assert_same(one_round(scaffold, start, [1]), first)  # none is left of it


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_no_additions_are_left_to_tensorflow_to_merge(name: str) -> None:
    # It would merge them into one AddN, which begins with any addend whose memory happens to be free.
    variables = [keras.Variable(np.zeros(3, np.float32), name="kernel")]
    optimizer = client_optimizer(name, proximal_mu=0.1, has_terms=True)
    optimizer.build(variables)
    step = tf.function(lambda gradients: optimizer.apply(gradients, variables))
    operations = step.get_concrete_function([tf.TensorSpec(3, tf.float32)]).graph.get_operations()
    corrected = {operation.name for operation in operations if operation.type == "Placeholder"}
    for operation in operations:
        is_fed = any(tensor.op.name in corrected for tensor in operation.inputs)
        assert not (is_fed and operation.type in ("Add", "AddV2", "AddN")), operation
        if is_fed and operation.type == "Sub":
            corrected.add(operation.name)
    assert len(corrected) > 2  # both corrections were seen


@pytest.mark.parametrize(
    "settings",
    [{"STRATEGY": "fedprox"}, {"STRATEGY": "scaffold", "OPTIMIZER": "sgd"}, {"STRATEGY": "feddyn"}],
)
def test_a_used_model_trains_like_a_new_one_and_is_traced_once(
    settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Config(**settings, **SMALL)
    start = initial_weights(config)
    variables = model_for(config).model.trainable_variables
    has_terms = bool(config.strategy.client_state)
    drawn = np.random.default_rng(1)
    terms = {v.path: drawn.normal(0, 0.01, v.shape).astype("float32") for v in variables if has_terms}
    first = one_round(config, start, [1], gradient_terms=terms)
    monkeypatch.setattr(GradientTerms, "apply", None)  # called where the step is traced, and no more
    one_round(config, first, [2])
    assert_same(first, one_round(config, start, [1], gradient_terms=terms))


def test_a_gradient_term_without_a_variable_is_refused() -> None:
    wrong = {"dense/bias": np.ones(1, np.float32)}
    for instance in (logistic_model(has_terms=True), logistic_model(proximal_mu=1.0)):
        with pytest.raises(ValueError, match="1 gradient terms without a variable, such as 'dense/bias'"):
            instance.begin_training([W0.astype(np.float32)], 0.1, [0], wrong)


def test_plain_training_has_no_variables_beyond_kerass() -> None:
    for name, kind in (("adam", keras.optimizers.Adam), ("sgd", keras.optimizers.SGD)):
        assert type(client_optimizer(name)) is kind
    assert len(logistic_model().model.optimizer.variables) == 2  # steps and learning rate
    assert len(logistic_model(proximal_mu=0.1, has_terms=True).model.optimizer.variables) == 4

"""Grad-CAM: the heat is where the sign is that the model has learnt."""

import keras
import numpy as np
import pytest
from keras import layers

from helpers.architectures.seed_cnn import build_seed_cnn
from helpers.explaining.grad_cam import UnexplainableModelError, grad_cam

SIZE, SQUARE = 24, 6


def planted(num_images: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Noisy images, float32; a bright square in those of class 1; their labels; where it is (row, column)."""
    generator = np.random.default_rng(seed)
    images = generator.uniform(0, 0.3, (num_images, SIZE, SIZE, 3)).astype(np.float32)
    labels = np.arange(num_images) % 2
    corners = generator.integers(0, SIZE - SQUARE, (num_images, 2))
    for image, label, (row, column) in zip(images, labels, corners, strict=True):
        image[row : row + SQUARE, column : column + SQUARE] += 0.6 * label
    return images, labels, corners


def tiny_model() -> keras.Sequential:
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            layers.Input((SIZE, SIZE, 3)),
            layers.Conv2D(8, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(8, 3, padding="same", activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


@pytest.fixture(scope="module")
def trained() -> keras.Sequential:
    model = tiny_model()
    model.compile(keras.optimizers.Adam(0.02), "binary_crossentropy")
    images, labels, _ = planted(128, seed=0)
    model.fit(images, labels.reshape(-1, 1), epochs=12, batch_size=16, verbose=0)
    return model


def test_the_heat_is_where_the_square_is(trained) -> None:
    images, labels, corners = planted(40, seed=1)
    scores = trained.predict(images, verbose=0).reshape(-1)
    assert ((scores > 0.5) == labels).all()
    heatmaps = grad_cam(trained, images)
    assert heatmaps.shape == (40, SIZE, SIZE)
    assert heatmaps.dtype == np.float32
    assert heatmaps.min() >= 0
    assert heatmaps.max() == 1
    for heatmap, (row, column) in zip(heatmaps[1::2], corners[1::2], strict=True):
        hottest = np.unravel_index(heatmap.argmax(), heatmap.shape)
        assert row - 2 <= hottest[0] <= row + SQUARE + 1
        assert column - 2 <= hottest[1] <= column + SQUARE + 1
        inside = heatmap[row : row + SQUARE, column : column + SQUARE].mean()
        assert inside > 3 * heatmap.mean()


def test_an_image_has_the_heat_it_has_alone(trained) -> None:
    images, _, _ = planted(20, seed=2)
    alone = np.concatenate([grad_cam(trained, image[None]) for image in images])
    np.testing.assert_allclose(grad_cam(trained, images), alone, atol=1e-4)


def test_a_sure_decision_has_heat_too(trained) -> None:
    model = keras.models.clone_model(trained)
    model.set_weights([*trained.get_weights()[:-1], np.array([80.0], np.float32)])
    images, _, _ = planted(2, seed=3)
    assert model.predict(images, verbose=0).min() == 1  # the sigmoid has no slope there
    np.testing.assert_array_equal(grad_cam(model, images), grad_cam(trained, images))


def test_the_projects_network_and_a_functional_one_with_a_shortcut(tmp_path) -> None:
    images = np.random.default_rng(0).random((3, 20, 28, 3), np.float32)
    inputs = keras.Input((20, 28, 3))
    first = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    joined = layers.Add()([first, layers.Conv2D(4, 3, padding="same")(first)])
    output = layers.Dense(1, activation="sigmoid")(layers.GlobalAveragePooling2D()(joined))
    shortcut = keras.Model(inputs, output)
    shortcut.save(tmp_path / "shortcut.keras")
    for model in (
        build_seed_cnn((20, 28, 3)),
        shortcut,
        keras.models.load_model(tmp_path / "shortcut.keras"),
    ):
        heatmaps = grad_cam(model, images)
        assert heatmaps.shape == (3, 20, 28)
        assert np.isfinite(heatmaps).all()
        assert set(heatmaps.max(axis=(1, 2))) <= {0.0, 1.0}


def test_a_loaded_model_gives_the_same(trained, tmp_path) -> None:
    trained.save(tmp_path / "model.keras")
    images, _, _ = planted(3, seed=4)
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    np.testing.assert_array_equal(grad_cam(loaded, images), grad_cam(trained, images))


def test_the_heat_is_the_papers_sum_of_weighted_maps() -> None:
    """By hand: global average pooling gives map k the importance w_k / (h * w)."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            layers.Input((9, 9, 3)),
            layers.Conv2D(5, 1, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    image = np.random.default_rng(1).random((1, 9, 9, 3), np.float32)
    maps = np.maximum(image[0] @ model.layers[0].kernel.numpy()[0, 0], 0)
    heat = np.maximum(maps @ model.layers[-1].kernel.numpy()[:, 0], 0)
    assert heat.max() > 0
    np.testing.assert_allclose(grad_cam(model, image)[0], heat / heat.max(), atol=1e-5)


def test_refuses_models_it_cannot_explain() -> None:
    images = np.zeros((1, 8, 8, 3), np.float32)
    flat = [layers.Input((8, 8, 3)), layers.Flatten(), layers.Dense(1)]
    with pytest.raises(UnexplainableModelError, match="has no Conv2D"):
        grad_cam(keras.Sequential(flat), images)
    other = [layers.Input((8, 8, 3)), layers.Conv2D(2, 3), layers.Flatten()]
    with pytest.raises(UnexplainableModelError, match="expected a Dense layer"):
        grad_cam(keras.Sequential(other), images)


def test_of_several_classes_the_one_asked_for_is_explained_or_the_decided_one() -> None:
    """By hand, as above: class k's importance of map m is w_mk / (h * w)."""
    keras.utils.set_random_seed(2)
    model = keras.Sequential(
        [
            layers.Input((9, 9, 3)),
            layers.Conv2D(5, 1, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    images = np.random.default_rng(1).random((20, 9, 9, 3), np.float32)
    asked = np.arange(20) % 3
    maps = np.maximum(images @ model.layers[0].kernel.numpy()[0, 0], 0)
    heats = np.maximum(np.einsum("nhwm,mn->nhw", maps, model.layers[-1].kernel.numpy()[:, asked]), 0)
    assert (heats.max(axis=(1, 2)) > 0).sum() > 5
    heats /= np.where(heats.max(axis=(1, 2)) > 0, heats.max(axis=(1, 2)), 1)[:, None, None]
    np.testing.assert_allclose(grad_cam(model, images, asked), heats, atol=1e-4)
    model.layers[-1].bias.assign([0.0, 9.0, 0.0])  # now all are called 1
    np.testing.assert_array_equal(grad_cam(model, images), grad_cam(model, images, np.ones(20, int)))

"""Functions as a user might write them, for tests of custom networks; most are wrong in one way."""

import keras
from keras import layers


def good(input_shape):
    """Build a model whose layers have no names and that contains another model."""
    head = keras.Sequential([layers.Dropout(0.5), layers.Dense(4, "relu"), layers.BatchNormalization()])
    image = layers.Input(input_shape)
    maps = layers.Conv2D(3, 3, activation="relu")(image)
    output = layers.Dense(1, "sigmoid", dtype="float32")(head(layers.GlobalAveragePooling2D()(maps)))
    return keras.Model(image, output)


def of_any_classes(input_shape, num_classes=2):
    last = layers.Dense(1, "sigmoid") if num_classes == 2 else layers.Dense(num_classes, "softmax")
    return _ending_in(input_shape, last)


def of_two_units(input_shape, num_classes):
    return _ending_in(input_shape, layers.Dense(2, "softmax"))


def without_softmax(input_shape, num_classes):
    return _ending_in(input_shape, layers.Dense(num_classes, "sigmoid"))


def compiled(input_shape):
    model = good(input_shape)
    model.compile("adam", "binary_crossentropy")
    return model


def two_outputs(input_shape):
    return _ending_in(input_shape, layers.Dense(2, "sigmoid"))


def without_sigmoid(input_shape):
    return _ending_in(input_shape, layers.Dense(1))


def without_bias(input_shape):
    return _ending_in(input_shape, layers.Dense(1, "sigmoid", use_bias=False))


def normalized(input_shape):
    return _ending_in(input_shape, layers.BatchNormalization(), layers.Dense(1, "sigmoid"))


def of_bytes(input_shape):
    return b"a model"


class Twice(layers.Layer):
    def call(self, inputs):
        return 2 * inputs


def with_custom_layer(input_shape):
    return _ending_in(input_shape, Twice(), layers.Dense(1, "sigmoid"))


def with_custom_function(input_shape):
    return _ending_in(input_shape, layers.Dense(2, activation=custom), layers.Dense(1, "sigmoid"))


def custom(inputs):
    return 3 * inputs


def with_lambda(input_shape):
    return _ending_in(input_shape, layers.Lambda(custom), layers.Dense(1, "sigmoid"))


def of_integers(input_shape):
    return _ending_in(input_shape, layers.Normalization(), layers.Dense(1, "sigmoid"))


def of_half(input_shape):
    return _ending_in(input_shape, layers.Dense(1, "sigmoid", dtype="float16"))


def of_one_name(input_shape):
    return _ending_in(input_shape, _functional("a"), _functional("b"), layers.Dense(1, "sigmoid"))


def _functional(name):
    vector = layers.Input((1,))
    return keras.Model(vector, layers.Dense(1, name="same")(vector), name=name)


LAYER = layers.Dense(1, "sigmoid")


def of_old_layers(input_shape):
    return _ending_in(input_shape, LAYER)


def without_dtype(input_shape):
    return _ending_in(input_shape, layers.Dense(1, "sigmoid"))


def too_deep(input_shape):
    return _ending_in((2, 2, 1), layers.Reshape((7, 7)))


NOT_A_FUNCTION = 7


def _ending_in(input_shape, *last):
    return keras.Sequential([layers.Input(input_shape), layers.GlobalAveragePooling2D(), *last])

"""The last layer of every network."""

from keras import layers


def probability_layer(num_classes: int) -> layers.Dense:
    """Return the layer that gives the probabilities, in float32 with any precision of the others.

    Args:
        num_classes: at least 2.

    Returns:
        Of two classes one unit with a sigmoid, (N, 1): the probability of class 1. Of more one unit a class
        with a softmax, (N, num_classes): rows sum to 1.
    """
    units, activation = (1, "sigmoid") if num_classes == 2 else (num_classes, "softmax")
    return layers.Dense(units, activation=activation, dtype="float32", name="probability")

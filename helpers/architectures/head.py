"""Last layer of every network."""

from keras import layers


def probability_layer(num_classes: int) -> layers.Dense:
    """Return the layer that outputs probabilities, in float32 whatever the precision of the others.

    Args:
        num_classes: at least 2.

    Returns:
        With two classes, one sigmoid unit, (N, 1): the probability of class 1. With more, a softmax unit
        for each class, (N, num_classes): rows sum to 1.
    """
    units, activation = (1, "sigmoid") if num_classes == 2 else (num_classes, "softmax")
    return layers.Dense(units, activation=activation, dtype="float32", name="probability")

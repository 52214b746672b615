"""Custom networks from a user's `package.module:function`: allowed, imported and checked here."""

import inspect
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import keras

from helpers.architectures.head import probability_layer
from helpers.settings.errors import ConfigError
from helpers.settings.own_code import import_own


class Builder(Protocol):
    """A function that builds an uncompiled network for images (H, W, C); some have options."""

    def __call__(self, input_shape: tuple[int, int, int], **options: int) -> keras.Model: ...


def allowed_function(reference: str, allowed: Sequence[str]) -> None:
    """Check that this machine's own settings allow a function, as importing it runs its code.

    Raises:
        ConfigError: names what to set.
    """
    if reference not in allowed:
        raise ConfigError(
            f"ARCHITECTURE: received {reference!r}, which this machine does not allow; if you trust it, "
            f"start the workers with DT_OWN_ARCHITECTURES={reference}"
        )


def imported(reference: str) -> Builder:
    """Import and return the function `module:function`.

    Raises:
        ConfigError: the module is missing, its import fails, or it lacks the function.
    """
    builder: Builder = import_own("ARCHITECTURE", reference)
    return builder


def check_takes_classes(function: Builder, reference: str, num_classes: int) -> None:
    """Check that a function accepts the number of classes.

    Raises:
        ConfigError: shows the expected signature.
    """
    try:
        inspect.signature(function).bind((1, 1, 1), num_classes=num_classes)
    except (TypeError, ValueError):
        name = reference.partition(":")[2]
        raise ConfigError(
            f"ARCHITECTURE: {reference} has no argument num_classes, and there are {num_classes} classes; "
            f"define it as {name}(input_shape, num_classes=2)"
        ) from None


def check_model(model: Any, reference: str, input_shape: tuple[int, int, int], num_classes: int) -> None:
    """Check that a model can be trained here, and that plain Keras can open it once it is saved.

    Args:
        model: what the function returned.
        reference: the function's name.
        input_shape, num_classes: its arguments.

    Raises:
        ConfigError: names what was expected.
    """
    for problem in _problems(model, input_shape, probability_layer(num_classes)):
        raise ConfigError(f"ARCHITECTURE: {reference} returned {problem}")


def _problems(model: Any, input_shape: tuple[int, int, int], last: keras.layers.Dense) -> Iterator[str]:
    if not isinstance(model, keras.Model):
        yield f"a {type(model).__name__}, expected an uncompiled keras.Model"
    if model.compiled:
        yield "a compiled model; leave out compile(), as the project sets the loss and the optimizer"
    shapes = (getattr(model, "input_shape", None), getattr(model, "output_shape", None))
    if shapes != ((None, *input_shape), (None, last.units)):
        yield (
            f"a model with input {shapes[0]} and output {shapes[1]}, expected {(None, *input_shape)} and "
            f"{(None, last.units)}; use a Sequential with an Input, or a functional model"
        )
    if getattr(model.layers[-1], "activation", None) is not last.activation:
        activation = last.activation.__name__
        yield (
            f"a model whose last layer {model.layers[-1].name} has no {activation}, expected "
            f"Dense({last.units}, '{activation}')"
        )
    if (dtype := model.outputs[0].dtype) != "float32":
        yield f"a model with output {dtype}; give its last layer dtype='float32', with any PRECISION"
    if foreign := sorted(_foreign_parts(keras.saving.serialize_keras_object(model))):
        yield (
            f"a model with {', '.join(foreign)}, which keras.models.load_model alone cannot open; use "
            "only Keras' own layers and functions"
        )
    if other := [weight.path for weight in model.weights if weight.dtype != "float32"]:
        yield f"a model whose weights {', '.join(other)} are not float32; only float32 can be averaged"
    names = [weight.path for weight in model.weights]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        yield f"a model with two weights named {twice[0]}; give layers of different models different names"


def _foreign_parts(config: Any) -> Iterator[str]:
    """Yield the names of parts of a serialized model that are code or not Keras' own."""
    if isinstance(config, list | tuple):
        for part in config:
            yield from _foreign_parts(part)
    elif isinstance(config, dict):
        name = config.get("class_name")
        is_code = name in ("Lambda", "__lambda__")
        if name and (is_code or str(config.get("module", "keras")).partition(".")[0] != "keras"):
            yield str(config["config"] if name == "function" else name)
        for part in config.values():
            yield from _foreign_parts(part)

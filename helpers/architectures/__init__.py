"""Registry of networks; each file builds one. Settings are checked against it, so it imports no Keras."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """Facts about a network that are known before it is built.

    Attributes:
        builder: the function that builds it, as module:function.
        least_side: least height and width of an image, pixels.
        has_batch_norm: whether it has batch normalization.
        imagenet: the value of PRETRAINED that gives its body ImageNet weights; empty if it has no body.
        has_fast_step: whether it can be built from layers that train faster on a CPU.
    """

    builder: str
    least_side: int
    has_batch_norm: bool = True
    imagenet: str = ""
    has_fast_step: bool = False

    @property
    def has_body(self) -> bool:
        """Whether it has a body, for which there are ImageNet weights, and a head."""
        return bool(self.imagenet)


HERE = "helpers.architectures"
ARCHITECTURES: dict[str, Architecture] = {
    "seed_cnn": Architecture(f"{HERE}.seed_cnn:build_seed_cnn", 15, has_fast_step=True),
    "seed_cnn_groupnorm": Architecture(f"{HERE}.seed_cnn:build_seed_cnn_groupnorm", 15, has_batch_norm=False),
    "resnet_groupnorm": Architecture(f"{HERE}.resnet:build_resnet_groupnorm", 8, has_batch_norm=False),
    "efficientnet_lite0": Architecture(f"{HERE}.pretrained:build_efficientnet_lite0", 32, imagenet="package"),
    "mobilenet_v3_small": Architecture(
        f"{HERE}.pretrained:build_mobilenet_v3_small", 32, imagenet="imagenet"
    ),
    "mobilenet_v3_large": Architecture(
        f"{HERE}.pretrained:build_mobilenet_v3_large", 32, imagenet="imagenet"
    ),
    "efficientnet_v2_b0": Architecture(
        f"{HERE}.pretrained:build_efficientnet_v2_b0", 32, imagenet="imagenet"
    ),
}

OWN = Architecture("", 1)
"""A user's own function, of which nothing is known before it is called."""

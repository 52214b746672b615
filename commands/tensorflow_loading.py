"""Import of TensorFlow without its start-up messages."""

import os

from rich.console import Console

from helpers.cluster.process_tuning import without_remarks


def load_tensorflow() -> None:
    """Import TensorFlow and let it look for GPUs; show its errors and suppress its other messages."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # The status is on standard output, because standard error is filtered meanwhile.
    with Console().status("loading TensorFlow"), without_remarks():
        import tensorflow as tf

        tf.config.list_physical_devices()

"""Loading TensorFlow without its remarks on the terminal."""

import os

from rich.console import Console

from helpers.cluster.process_tuning import without_remarks


def load_tensorflow() -> None:
    """Import TensorFlow and let it look for GPUs; errors are shown, remarks are not.

    The terminal shows a status meanwhile, on standard output, as standard error passes line by line.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with Console().status("loading TensorFlow"), without_remarks():
        import tensorflow as tf

        tf.config.list_physical_devices()

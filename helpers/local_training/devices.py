"""The processors that TensorFlow may use in this process; to be said before it has computed anything."""

import functools

import tensorflow as tf

from helpers.settings.errors import ConfigError


@functools.cache
def limit_threads(threads: int) -> None:
    """Give TensorFlow so many threads; 0 leaves it to TensorFlow."""
    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)


@functools.cache
def choose_gpu(gpu: str) -> None:
    """Let TensorFlow see one GPU, all or none, and take their memory as it needs it, not all at once.

    Args:
        gpu: an index, `none`, or empty for all.

    Raises:
        ConfigError: there is no such GPU.
    """
    found = tf.config.list_physical_devices("GPU")
    if gpu.isdecimal() and int(gpu) >= len(found):
        raise ConfigError(
            f"GPU: received {gpu}: TensorFlow sees {len(found)} GPUs, the first is 0; "
            "`python run.py doctor` says what is missing, GPU=none computes on the CPU"
        )
    chosen = [found[int(gpu)]] if gpu.isdecimal() else [] if gpu == "none" else found
    if found:
        tf.config.set_visible_devices(chosen, "GPU")
    for device in chosen:
        tf.config.experimental.set_memory_growth(device, True)

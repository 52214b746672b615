"""Processors that TensorFlow may use in this process; set before TensorFlow computes anything."""

import functools

import tensorflow as tf

from helpers.cluster.process_tuning import without_remarks
from helpers.settings.errors import ConfigError


@functools.cache
def limit_threads(threads: int) -> None:
    """Set the number of TensorFlow's threads; 0 leaves it to TensorFlow."""
    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)


@functools.cache
def choose_gpu(gpu: str) -> None:
    """Let TensorFlow see one GPU, all or none, and take GPU memory as needed instead of all at once.

    Args:
        gpu: an index, `none`, or empty for all.

    Raises:
        ConfigError: TensorFlow does not see this GPU.
    """
    with without_remarks():  # the first look loads the driver, which prints
        gpus = tf.config.list_physical_devices("GPU")
    if gpu.isdecimal() and int(gpu) >= len(gpus):
        raise ConfigError(
            f"GPU: received {gpu}: TensorFlow sees {len(gpus)} GPUs, numbered from 0; "
            "`python run.py doctor` shows what is missing, GPU=none computes on the CPU"
        )
    chosen = [gpus[int(gpu)]] if gpu.isdecimal() else [] if gpu == "none" else gpus
    if gpus:
        tf.config.set_visible_devices(chosen, "GPU")
    for device in chosen:
        tf.config.experimental.set_memory_growth(device, True)

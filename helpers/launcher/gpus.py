"""NVIDIA GPUs of this machine, found without TensorFlow."""

import importlib.metadata
import os
import shutil
import subprocess


def gpu_names() -> list[str]:
    """Return the driver's name of each GPU, such as `GPU 0: NVIDIA H100`."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    try:
        listing = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=30).stdout
    except (OSError, subprocess.TimeoutExpired):
        return []
    # Indented lines are parts of a GPU.
    return [line.partition(" (UUID")[0] for line in listing.splitlines() if line.startswith("GPU")]


def has_libraries() -> bool:
    """Return whether the packages that TensorFlow needs for a GPU (requirements-gpu.txt) are installed."""
    try:
        importlib.metadata.version("nvidia-cudnn-cu12")
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def count_visible() -> int:
    """Return the number of GPUs that CUDA shows in this environment. It numbers them from 0."""
    number = len(gpu_names())
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    if not number or shown is None:
        return number
    devices = [part.strip() for part in shown.split(",")]
    for place, device in enumerate(devices):
        if not device or (device.removeprefix("-").isdecimal() and not 0 <= int(device) < number):
            return place  # CUDA shows no GPU from the first unknown one on
    return len(devices)

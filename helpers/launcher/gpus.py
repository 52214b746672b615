"""The NVIDIA GPUs of this machine, found without TensorFlow."""

import importlib.metadata
import os
import shutil
import subprocess


def gpu_names() -> list[str]:
    """What the driver calls each GPU, such as `GPU 0: NVIDIA H100`; empty where there is none."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    try:
        listing = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=30).stdout
    except (OSError, subprocess.TimeoutExpired):
        return []
    # Parts of a GPU are listed below it, indented.
    return [line.partition(" (UUID")[0] for line in listing.splitlines() if line.startswith("GPU")]


def has_libraries() -> bool:
    """Whether the packages that TensorFlow needs for a GPU are installed: those of requirements-gpu.txt."""
    try:
        importlib.metadata.version("nvidia-cudnn-cu12")
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def count_visible() -> int:
    """How many of them CUDA shows to a process of this environment; it numbers those anew, from 0."""
    number = len(gpu_names())
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    if not number or shown is None:
        return number
    devices = [part.strip() for part in shown.split(",")]
    for place, device in enumerate(devices):
        if not device or (device.removeprefix("-").isdecimal() and not 0 <= int(device) < number):
            return place  # CUDA shows none from the first one on that is not there
    return len(devices)

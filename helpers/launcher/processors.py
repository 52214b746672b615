"""What the processors of this machine can do, found without TensorFlow."""

from pathlib import Path

FLAGS = {"avx512_bf16", "amx_bf16"}
"""Linux' names of the instructions that TensorFlow computes in bfloat16 with."""
BFLOAT16_ADVICE = (
    "bfloat16: --precision mixed_bfloat16 --train-step fast trains seed_cnn 1.9 to 2.4 times as fast as "
    "Keras' own step (on AMD Zen 5), with other digits"
)


def have_bfloat16(file: Path = Path("/proc/cpuinfo")) -> bool:
    """Return whether the processors compute in bfloat16 faster than in float32; False if unknown."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    return any(FLAGS & set(line.split()) for line in lines if line.startswith("flags"))

"""What Linux says of the processors."""

from pathlib import Path

from helpers.launcher.processors import have_bfloat16


def test_bfloat16_is_one_of_the_flags(tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    assert not have_bfloat16(file)  # not Linux
    file.write_text("model name : avx512_bf16\nflags\t\t: fpu avx512f\n")
    assert not have_bfloat16(file)
    file.write_text("flags\t\t: fpu avx512_bf16 avx512f\n")
    assert have_bfloat16(file)

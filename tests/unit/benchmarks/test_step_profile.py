"""Profile of the training step, from oneDNN's lines."""

import pytest

from benchmarks.records import Record
from benchmarks.step_profile import BATCHES, FLOPS, MARK, MATRIX, PEAK, PRODUCTS, STEP, write_rows

LINE = "onednn_verbose,v1,primitive,exec,cpu,{},jit,{},src:bf16::blocked:acdb::f0,attr,alg:x,{},{}"


def test_work_before_a_mark_is_what_it_names():
    lines = [
        "onednn_verbose,v1,info,cpu,runtime:threadpool",
        LINE.format("reorder", "undef", "1x2", 500),  # while it is traced
        f"{MARK}start:0",
        LINE.format("convolution", "forward_training", "mb16_ic3oc128_ih128oh126", 6 * BATCHES),
        LINE.format("convolution", "backward_weights", "mb16_ic3oc128_ih128oh126", 3 * BATCHES),
        LINE.format("reorder", "undef", "1x2", BATCHES),
        LINE.format("reorder", "undef", "3x4", BATCHES),
        f"{MARK}{STEP}:{0.02 * BATCHES}",
        f"{MARK}{FLOPS}:1e9",
        f"{MARK}start:0",
        LINE.format("matmul", "undef", "2048x2048:2048x2048", PRODUCTS * 2 * MATRIX**3 / 1e8),  # 100 GFLOP/s
        f"{MARK}{PEAK}:1",
    ]
    record = Record("profile", lambda line: None)
    write_rows(record, lines, batch_size=1)
    milliseconds = {row.contender: row.median for row in record.measurements}
    assert milliseconds["whole"] == pytest.approx(20)
    assert milliseconds["convolution forward of 3 to 128 channels, 128 pixels"] == pytest.approx(6)
    assert milliseconds["reorder"] == pytest.approx(2)
    assert milliseconds["all else: TensorFlow's own kernels, input, Python"] == pytest.approx(9)
    assert milliseconds["arithmetic of convolutions and dense layers at that speed"] == pytest.approx(10)

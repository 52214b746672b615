"""The share of intervals that contain the truth, on a small simulation."""

import pytest

from studies.coverage import KINDS, measure, page


@pytest.mark.parametrize(("num_images", "auc", "kind"), [(40, 0.95, KINDS[0]), (100, 0.85, KINDS[3])])
def test_intervals_contain_the_truth(num_images, auc, kind):
    coverage = measure(num_images, auc, kind, 150)
    for name, shown in coverage.shown.items():
        assert not shown or coverage.share(name) > 0.91, name  # 95 % minus two standard errors
    assert coverage.shown["roc_auc"] == 150
    assert coverage.shown["calibration_error"] == 0
    assert f"| {num_images} | {auc:.2f} | {kind.title} |" in page(
        {(num_images, auc, kind): coverage}, 150, "c"
    )

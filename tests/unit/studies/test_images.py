"""Images of the study."""

import pytest

from benchmarks.synthetic_data import write_prepared
from helpers.settings.errors import UserError
from studies.images import Images


def test_other_images_than_those_prepared_are_refused(tmp_path):
    write_prepared(tmp_path / "prepared/seed-1", 4, 2, (16, 16))  # their folder has no name
    with pytest.raises(UserError, match=r"--data-dir: received images, but .* name another --out"):
        Images(tmp_path / "images", tmp_path / "prepared", (16, 16), print).prepared(1)

"""The page docs/configuration.md."""

from pathlib import Path

from helpers.global_config import Config
from helpers.settings.page import configuration_page

PAGE = Path(__file__).resolve().parents[4] / "docs" / "configuration.md"


def test_the_page_is_current():
    remedy = "renew it: python -m helpers.settings.page > docs/configuration.md"
    assert PAGE.read_text(encoding="utf-8") == configuration_page(Config), remedy


def test_it_says_which_strategies_read_a_setting():
    page = configuration_page(Config)
    assert page.count(" Read by `trimmed_mean`. |") == 1
    assert page.count(" Read by `fedadam`, `fedyogi`. |") == 1


def test_every_setting_has_a_row():
    page = configuration_page(Config)
    assert all(f"\n| {name} | " in page for name in Config.model_fields)

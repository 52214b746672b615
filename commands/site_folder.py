"""The folder of the site whose owner uses a command."""

from pathlib import Path

from helpers.global_config import Config
from helpers.settings.errors import ConfigError
from helpers.sites.site_session import own_folder

SITE_SETTINGS = ("SITE", "SITE_DIR")


def site_folder(config: Config) -> Path:
    """Return the folder of the site that SITE names.

    Raises:
        ConfigError: SITE is not set.
    """
    if not config.SITE:
        raise ConfigError("SITE: not set; name the site with DT_SITE=name or --site name")
    return own_folder(config)

"""The folder of the site whose owner uses a command."""

from pathlib import Path

from helpers.global_config import Config
from helpers.settings.errors import ConfigError
from helpers.sites.deployment import open_deployment
from helpers.sites.site_session import own_folder

SITE_SETTINGS = ("SITE", "SITE_DIR")


def site_folder(config: Config) -> Path:
    """Return the folder of the site that SITE names.

    Raises:
        ConfigError: SITE is not set, or the folder of the deployment is that of another member.
    """
    if not config.SITE:
        raise ConfigError("SITE: not set; name the site with DT_SITE=name or --site name")
    if config.DEPLOYMENT:
        open_deployment(config)
    return own_folder(config)

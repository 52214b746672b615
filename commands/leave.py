"""`run.py leave`: ends the workers of this site, so that its runs go on without it at once."""

from collections.abc import Sequence

from commands.site_folder import SITE_SETTINGS, site_folder
from helpers.global_config import Config
from helpers.settings.command_line import ArgumentParser, add_settings, config_from_arguments
from helpers.settings.errors import ConfigError
from helpers.sites.site_session import LEAVE


def main(arguments: Sequence[str]) -> int:
    """Run the command; return the exit status."""
    parser = ArgumentParser(
        prog="run.py leave",
        description="Ends the workers of this site. A training stops after some batches and does not count.",
    )
    add_settings(parser, Config, only=SITE_SETTINGS)
    config = config_from_arguments(Config, parser.parse_args(arguments))
    if not (folder := site_folder(config)).is_dir():
        raise ConfigError(f"SITE={config.SITE}: no worker of this site has run here ({folder} is not there)")
    (folder / LEAVE).touch()
    print(f"Site {config.SITE} leaves: its workers end within seconds. It returns when one is started.")
    return 0

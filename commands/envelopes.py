"""How this machine closes and opens letters of runs: sealed if it belongs to a deployment."""

from helpers.cluster.mailbox import OPEN_LETTERS, Envelopes
from helpers.global_config import Config


def envelopes_of(config: Config) -> Envelopes:
    """Return the envelopes of this machine.

    Raises:
        ConfigError: the deployment of this machine cannot be used.
    """
    if not config.DEPLOYMENT:
        return OPEN_LETTERS
    from helpers.sites.deployment import open_deployment  # it needs cryptography

    return open_deployment(config)

"""`run.py provision`: keys, certificates and Redis users of a deployment of sites."""

from collections.abc import Sequence
from pathlib import Path

from helpers.settings.command_line import ArgumentParser
from helpers.sites import certificates
from helpers.sites.provisioning import Provision

PORT = 6380
RESTART = (
    "Copy server/users.acl, coordinator/members.json and each site's members.json to where these parts run, "
    "and restart all."
)


def main(arguments: Sequence[str]) -> int:
    """Run the command; return the exit status."""
    parser = ArgumentParser(
        prog="run.py provision",
        description="Writes a folder for each part of a deployment: Redis server, coordinator and sites.",
        epilog="See docs/provisioning.md.",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="folder of the deployment")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--sites", metavar="NAMES", help="make a deployment of sites: north,south,…")
    what.add_argument("--add", metavar="SITE", help="add a site")
    what.add_argument("--revoke", metavar="SITE", help="remove a site and what lets it in")
    what.add_argument("--renew", action="store_true", help="certify all keys for another year")
    parser.add_argument("--host", default="127.0.0.1", help="address of Redis for all members [127.0.0.1]")
    parser.add_argument("--port", type=int, default=PORT, help=f"port of Redis [{PORT}]")
    parser.add_argument("--bind", help="IP address on which Redis listens [HOST]")
    options = parser.parse_args(arguments)
    if options.sites:
        sites = [name.strip() for name in options.sites.split(",")]
        bind = options.bind or options.host
        provision = Provision.create(options.out, sites, options.host, options.port, bind)
        print(f"{options.out}: a deployment of {', '.join(provision.sites)}; each part has a README.md")
        print("Keep ca/ offline: it is needed only to add sites and to renew certificates.")
        return 0
    provision = Provision.open(options.out)
    if options.add:
        provision.add(options.add)
        print(f"{options.out}/sites/{options.add}: give it to the site. {RESTART}")
    elif options.revoke:
        provision.revoke(options.revoke)
        print(f"site {options.revoke} is removed. {RESTART}")
    else:
        provision.renew()
        print(f"The certificates of all parts are valid for {certificates.DAYS} days.")
        print("Give each its new tls.crt and tls.key, and coordinator and sites orders.crt; restart all.")
    return 0

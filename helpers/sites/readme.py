"""Texts of `run.py provision` for people and shells: README files, environments, an example policy."""

FILE = "README.md"

_ENVIRONMENT = """\
# Environment of {name}: `. this-file` in the project's folder. It holds a password; keep it to its owner.
export DT_DEPLOYMENT="${{DT_DEPLOYMENT:-{place}}}"
REDIS_URL="rediss://{name}:{password}@{host}:{port}/0?ssl_cert_reqs=required&ssl_ca_certs=$DT_DEPLOYMENT/ca.crt"
export REDIS_URL="$REDIS_URL&ssl_certfile=$DT_DEPLOYMENT/tls.crt&ssl_keyfile=$DT_DEPLOYMENT/tls.key"
"""
_WORKER = (
    "python -m celery --app=celery_app worker --pool=solo --loglevel=info --hostname={name}@%h {queue}"
    "--without-gossip --without-mingle --without-heartbeat"
)
OPTIONS = "--data-at sites --min-clients 2 --input-shape 64,64 --train-batch-size 16 --run first"
_SERVER = """\
# Redis server

Copy this folder to the machine {host}. Start Redis 7 or later, with TLS, in the folder:

    redis-server redis.conf

After `run.py provision --add`, `--revoke` or `--renew`, copy `users.acl`, `tls.crt` and `tls.key` there
again and restart Redis. Workers wait for it. The firewall should accept port {port} from the members only.
"""
_COORDINATOR = """\
# Coordinator

It sends the orders and averages. In the project's folder with its environment active, in two terminals:

    . {place}/coordinator.env && {worker}
    . {place}/coordinator.env && python distributed_training_index.py {options}

`orders.key` signs orders, and `keys.json` opens updates: whoever has this folder can send orders to all.
"""
_SITE = """\
# Site {site}

Copy this folder as `sites/{site}` into the project's folder, over a channel that others cannot read, and
delete other copies. Edit `site.toml`: what the site allows. Then, in the project's folder with its
environment active:

    . sites/{site}/site.env && python run.py prepare --data-dir images --input-shape 64,64
    . sites/{site}/site.env && {worker}

The first command prepares your images (docs/data.md). The second runs the site's worker until Ctrl-C.

After `run.py provision --add` or `--revoke`, copy the new `members.json` of this site into the folder and
start the worker again: it has the public keys of all sites, which secure aggregation needs.
"""
POLICY = """\
# What this site allows; no order can change it. These are the defaults, see docs/sites.md.
# least_images = 16
# may_stop_early = false
# orders_per_hour = 240
# needs_approval = false
# keep_models = false
#
# Limits that are not set by default: privacy (docs/privacy.md), and settings of a run.
# max_epsilon = 8
#
# [settings.EPOCHS]
# most = 50
"""


_SHARED_SCORES = """\
# What leaves of scores (docs/sites.md): counts by bins; `pairs` for each image's; `none` for sums only.
# export DT_SHARE_SCORES=counts
"""


def environment(name: str, place: str, host: str, port: int, password: str) -> str:
    """Return the environment of a member, for `sh`.

    Args:
        name: the member, which is also its user of Redis.
        place: its folder, unless DT_DEPLOYMENT is set.
        host, port: of Redis.
        password: of its user.
    """
    host = f"[{host}]" if ":" in host else host
    text = _ENVIRONMENT.format(name=name, place=place, host=host, port=port, password=password)
    return text if name == "coordinator" else f"{text}export DT_SITE={name}\n{_SHARED_SCORES}"


def of_server(host: str, port: int) -> str:
    """Return the README of the server."""
    return _SERVER.format(host=host, port=port)


def of_coordinator(place: str) -> str:
    """Return the README of the coordinator, whose folder is `place`."""
    worker = _WORKER.format(name="averaging", queue="-Q aggregate ")
    return _COORDINATOR.format(place=place, worker=worker, options=OPTIONS)


def of_site(site: str) -> str:
    """Return the README of a site."""
    return _SITE.format(site=site, worker=_WORKER.format(name="worker", queue=""))

"""Files of the Redis server of a deployment: `redis.conf`, and `users.acl` with a user per site.

A user's line is all that Redis allows it. Patterns of keys with `%R~` may only be read. Names of keys are
those of `helpers.cluster.keys` and of kombu's queues.
"""

import hashlib

CONFIGURATION = """\
bind {addresses}
port 0
tls-port {port}
tls-cert-file tls.crt
tls-key-file tls.key
tls-ca-cert-file ca.crt
tls-auth-clients yes
aclfile users.acl
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
"""
"""The files are those of the folder in which the server is started."""

NO_DEFAULT_USER = "user default off"
ALL_BUT_ADMINISTRATION = "~* &* +@all -@admin -@dangerous"
SITE_COMMANDS = (  # noqa: SIM905 - a list of words
    "ping hello auth select multi exec discard watch unwatch get mget set del "
    "exists expire rename unlink hget hset hlen hstrlen hdel lpush rpush rpop brpop llen sadd smembers time"
).split()
"""No scripts, no list of keys, no channels: neither a site's worker nor its queue needs them."""
OWN_KEYS = (
    "dt:site:{site}:*",
    "dt:worker:{site}/*",
    "site.{site}",
    "_kombu.binding.site.{site}",
    "_kombu.binding_permanent.site.{site}",
)
PROBES = "dt:probe:*"
READ_KEYS = ("session", "*:attempts", "*:clock", "*:weights:*", "*:shared:*")
"""Of every run: who leads it, what is expected, its time, and the global weights."""


def configuration(address: str, port: int) -> str:
    """Return redis.conf of a server that listens on loopback and one address."""
    addresses = dict.fromkeys(("127.0.0.1", address))
    return CONFIGURATION.format(addresses=" ".join(addresses), port=port)


def user(name: str, password: str, rights: str = "") -> str:
    """Return the line of a user in users.acl, with the digest of the password; a site's without `rights`."""
    rights = rights or rights_of_site(name)
    return f"user {name} on #{hashlib.sha256(password.encode()).hexdigest()} {rights}"


def without_user(lines: str, name: str) -> str:
    """Return the lines of users.acl without a user."""
    kept = [line for line in lines.splitlines() if line.split()[:2] != ["user", name]]
    return "\n".join(kept) + "\n"


def rights_of_site(site: str) -> str:
    """Return what Redis allows the user of a site."""
    own = [f"~{pattern.format(site=site)}" for pattern in OWN_KEYS]
    read = [f"%R~dt:run:*:{pattern}" for pattern in READ_KEYS]
    commands = [f"+{command}" for command in SITE_COMMANDS]
    return " ".join(["resetchannels", *own, f"~{PROBES}", *read, "-@all", *commands])

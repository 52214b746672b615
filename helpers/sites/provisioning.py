"""Folders of a deployment, one for each of its parts: authority, Redis server, coordinator and sites."""

import json
import os
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from helpers.federated.sites.site import SITE_NAME
from helpers.settings.errors import UserError
from helpers.sites import certificates, readme, redis_files
from helpers.sites.certificates import Pair
from helpers.sites.deployment import (
    AUTHORITY,
    CERTIFICATE,
    CERTIFICATE_KEY,
    COORDINATOR,
    KEYS,
    MEMBERS,
    ORDERS,
    ORDERS_KEY,
)
from helpers.sites.policy import FILE as POLICY

AUTHORITY_KEY, CONFIGURATION, USERS, RECORD = "ca.key", "redis.conf", "users.acl", "provision.json"
RESERVED = (COORDINATOR, "default")


@dataclass(frozen=True)
class Provision:
    """A folder with everything for a deployment.

    Attributes:
        folder: where it is.
        host, port: where the members reach Redis.
    """

    folder: Path
    host: str
    port: int

    @classmethod
    def create(cls, folder: Path, sites: Sequence[str], host: str, port: int, bind: str) -> Self:
        """Write a new deployment.

        Args:
            folder: new or empty.
            sites: their names.
            host, port: where the members reach Redis: an IP address or a host name.
            bind: IP address on which Redis listens, in addition to loopback.

        Raises:
            UserError: a name is wrong or taken, or the folder is not empty.
        """
        for number, site in enumerate(sites):
            _check_name(site, sites[:number])
        if folder.exists() and any(folder.iterdir()):
            raise UserError(f"--out: {folder} is not empty; choose another folder, or use --add, --revoke")
        if not certificates.is_ip(bind):
            raise UserError(f"--bind: received {bind!r}; expected the IP address of --host")
        provision = cls(folder, host, port)
        authority = certificates.make_authority(f"training {secrets.token_hex(4)}")
        provision._write("ca", AUTHORITY, authority.certificate_pem)
        provision._write("ca", AUTHORITY_KEY, authority.key_pem)
        provision._write("", RECORD, json.dumps({"host": host, "port": port}))
        provision._write("server", CONFIGURATION, redis_files.configuration(bind, port))
        provision._write("server", USERS, redis_files.NO_DEFAULT_USER + "\n")
        provision._write("server", readme.FILE, readme.of_server(host, port))
        provision._certify("server", authority, "redis server", [host, "127.0.0.1"])
        provision._set_members({})
        provision._add_member(COORDINATOR, "coordinator", authority)
        for site in sites:
            provision.add(site)
        return provision

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Return an earlier deployment.

        Raises:
            UserError: the folder has none.
        """
        try:
            record = json.loads((folder / RECORD).read_text())
            return cls(folder, str(record["host"]), int(record["port"]))
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise UserError(f"--out: {folder} has no deployment ({error})") from None

    @property
    def sites(self) -> list[str]:
        """Names of the sites."""
        return [name for name in self._members() if name != COORDINATOR]

    def add(self, site: str) -> None:
        """Add a site.

        Raises:
            UserError: its name is wrong or taken.
        """
        _check_name(site, self.sites)
        self._add_member(site, f"sites/{site}", self._authority())
        self._write(f"sites/{site}", POLICY, readme.POLICY)
        self._write(f"sites/{site}", readme.FILE, readme.of_site(site))

    def revoke(self, site: str) -> None:
        """Remove a site: its user of Redis, its public keys and its folder.

        Raises:
            UserError: there is no such site.
        """
        if site not in self.sites:
            raise UserError(f"site {site}: there is none of this name, only {', '.join(self.sites)}")
        self._set_members({name: keys for name, keys in self._members().items() if name != site})
        self._write("server", USERS, redis_files.without_user(self._read("server", USERS).decode(), site))
        shutil.rmtree(self.folder / "sites" / site, ignore_errors=True)  # often it was handed over

    def renew(self) -> None:
        """Write new certificates for all keys of the deployment, valid from now on."""
        authority = self._authority()
        for place, name, addresses in (
            ("server", "redis server", [self.host, "127.0.0.1"]),
            ("coordinator", COORDINATOR, []),
            *((f"sites/{site}", site, []) for site in self.sites),
        ):
            self._certify(place, authority, name, addresses)

    # Parts of a folder

    def _add_member(self, name: str, place: str, authority: Pair) -> None:
        """Write the keys, certificates and environment of a member, and its user of Redis."""
        password = secrets.token_hex(24)
        rights = redis_files.ALL_BUT_ADMINISTRATION if name == COORDINATOR else ""
        users = self._read("server", USERS).decode() + redis_files.user(name, password, rights) + "\n"
        self._write("server", USERS, users)
        signing, sealing = Ed25519PrivateKey.generate(), X25519PrivateKey.generate()
        private = {key: pair.private_bytes_raw().hex() for key, pair in _named(signing, sealing)}
        public = {key: pair.public_key().public_bytes_raw().hex() for key, pair in _named(signing, sealing)}
        self._write(place, KEYS, json.dumps({"name": name, **private}, indent=1))
        self._certify(place, authority, name)
        environment = readme.environment(name, self._default_place(name), self.host, self.port, password)
        self._write(place, "coordinator.env" if name == COORDINATOR else "site.env", environment)
        self._set_members({**self._members(), name: public})
        if name == COORDINATOR:
            self._write(place, readme.FILE, readme.of_coordinator(self._default_place(name)))

    def _default_place(self, name: str) -> str:
        """Return where a member's folder is expected, for a shell."""
        return str(self.folder.resolve() / COORDINATOR) if name == COORDINATOR else f"$PWD/sites/{name}"

    def _certify(self, place: str, authority: Pair, name: str, addresses: Sequence[str] = ()) -> None:
        """Write the certificates of a part, for its keys if it has some."""
        addresses = list(dict.fromkeys(addresses))
        tls = certificates.issue(authority, name, addresses, self._key(place, CERTIFICATE_KEY))
        self._write(place, CERTIFICATE, tls.certificate_pem)
        self._write(place, CERTIFICATE_KEY, tls.key_pem)
        self._write(place, AUTHORITY, authority.certificate_pem)
        if place == "coordinator":
            orders = certificates.issue(authority, "orders", key=self._key(place, ORDERS_KEY))
            self._write(place, ORDERS, orders.certificate_pem)
            self._write(place, ORDERS_KEY, orders.key_pem)
        elif place != "server":
            self._write(place, ORDERS, self._read("coordinator", ORDERS))

    def _key(self, place: str, name: str) -> RSAPrivateKey | None:
        """Return a private key that is there already."""
        certificate = name.replace(".key", ".crt")
        if not (self.folder / place / name).exists():
            return None
        return Pair.read(self._read(place, name), self._read(place, certificate)).key

    def _authority(self) -> Pair:
        return Pair.read(self._read("ca", AUTHORITY_KEY), self._read("ca", AUTHORITY))

    def _members(self) -> dict[str, Any]:
        members: dict[str, Any] = json.loads(self._read("coordinator", MEMBERS))
        return members

    def _set_members(self, members: dict[str, Any]) -> None:
        """Write the public keys of all members into the folder of each."""
        for place in ("coordinator", *(f"sites/{name}" for name in members if name != COORDINATOR)):
            self._write(place, MEMBERS, json.dumps(members, indent=1))

    def _read(self, place: str, name: str) -> bytes:
        try:
            return (self.folder / place / name).read_bytes()
        except OSError as error:
            raise UserError(f"--out: {error.filename} is needed: {error.strerror}") from None

    def _write(self, place: str, name: str, content: bytes | str) -> None:
        """Write a file, whole or not at all, that only its owner can read."""
        folder = self.folder / place
        for new in (self.folder, folder.parent, folder):
            new.mkdir(mode=0o700, parents=new is self.folder, exist_ok=True)
        whole = folder / f".{name}.new"
        handle = os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        whole.replace(folder / name)


def _check_name(site: str, others: Sequence[str]) -> None:
    if not SITE_NAME.fullmatch(site) or site in RESERVED:
        raise UserError(
            f"site {site!r}: 1 to 40 letters, digits, '.', '_' and '-' are allowed, and not "
            f"{' or '.join(RESERVED)}"
        )
    if site.lower() in (name.lower() for name in others):
        raise UserError(f"site {site}: there is one of this name")


def _named(signing: Any, sealing: Any) -> tuple[tuple[str, Any], tuple[str, Any]]:
    return ("signing", signing), ("sealing", sealing)

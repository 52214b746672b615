"""X.509 certificates of a deployment: its own authority, and what the authority issues."""

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

RSA_BITS = 3072
"""Celery's signed messages need RSA."""
AUTHORITY_DAYS = 3650
DAYS = 365
"""How long a certificate is valid, days."""
BACKDATED = datetime.timedelta(hours=1)
"""Clocks may differ by this much."""


@dataclass(frozen=True)
class Pair:
    """A private key and its certificate."""

    key: rsa.RSAPrivateKey
    certificate: x509.Certificate

    @classmethod
    def read(cls, key: bytes, certificate: bytes) -> Self:
        """Return a pair from PEM; ValueError if it cannot be read."""
        private = serialization.load_pem_private_key(key, None)
        if not isinstance(private, rsa.RSAPrivateKey):
            raise ValueError("not an RSA key")
        return cls(private, x509.load_pem_x509_certificate(certificate))

    @property
    def key_pem(self) -> bytes:
        """The private key, not encrypted."""
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    @property
    def certificate_pem(self) -> bytes:
        """The certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)


def make_authority(name: str) -> Pair:
    """Return a new authority, which signs itself."""
    key, subject = _new_key(), _name(name)
    builder = _builder(subject, subject, key, AUTHORITY_DAYS).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    usage = _usage(digital_signature=False, key_cert_sign=True)
    return Pair(key, builder.add_extension(usage, critical=True).sign(key, hashes.SHA256()))


def issue(
    authority: Pair, name: str, addresses: Sequence[str] = (), key: rsa.RSAPrivateKey | None = None
) -> Pair:
    """Return a key with a certificate that the authority signs.

    Args:
        authority: signs it.
        name: common name of the holder.
        addresses: IP addresses and host names of a server; without any it is a client's certificate.
        key: of an earlier certificate, to be certified again.
    """
    key = key or _new_key()
    builder = _builder(_name(name), authority.certificate.subject, key, DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(digital_signature=True, key_cert_sign=False), critical=True)
    kind = ExtendedKeyUsageOID.SERVER_AUTH if addresses else ExtendedKeyUsageOID.CLIENT_AUTH
    builder = builder.add_extension(x509.ExtendedKeyUsage([kind]), critical=False)
    if addresses:
        names = x509.SubjectAlternativeName([_general_name(address) for address in addresses])
        builder = builder.add_extension(names, critical=False)
    return Pair(key, builder.sign(authority.key, hashes.SHA256()))


def days_left(certificate: bytes) -> float:
    """Return how many days a certificate (PEM) is still valid, negative if it has expired."""
    end = x509.load_pem_x509_certificate(certificate).not_valid_after_utc
    return (end - datetime.datetime.now(datetime.UTC)) / datetime.timedelta(days=1)


def is_ip(address: str) -> bool:
    """Return whether an address is an IP address, not a name."""
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True


def _general_name(address: str) -> x509.GeneralName:
    return x509.IPAddress(ipaddress.ip_address(address)) if is_ip(address) else x509.DNSName(address)


def _new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, RSA_BITS)


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: rsa.RSAPrivateKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return x509.CertificateBuilder(
        issuer_name=issuer,
        subject_name=subject,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - BACKDATED,
        not_valid_after=now + datetime.timedelta(days=days),
    )


def _usage(*, digital_signature: bool, key_cert_sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=key_cert_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )

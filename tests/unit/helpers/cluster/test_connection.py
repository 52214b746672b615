"""Redis addresses never show their password."""

import pytest

from helpers.cluster.connection import connect, redact
from helpers.settings.errors import ConfigError


@pytest.mark.parametrize(
    "url",
    [
        "redis://:hush@host:6379/0",
        "rediss://user:hush@host:6379/0?ssl_ca_certs=/etc/ca.crt",
        "redis://user:hush/hush@host:6379/0",
        "redis://user:hush#hush?hush@host:6379/0",
        "redis://user:hush:hush@hush@host:6379/0",
        "redis://host:6379/0?username=user&password=hush",
        "rediss://host:6379/0?ssl_password=hush&ssl_cert_reqs=required",
        "host:6379?password=hush",
    ],
)
def test_no_password_is_shown(url: str) -> None:
    shown = redact(url)
    assert "hush" not in shown
    assert "***" in shown
    assert "host:6379" in shown


@pytest.mark.parametrize(
    "url", ["redis://host:6379/0", "rediss://host/0?ssl_ca_certs=/a@b/ca.crt", "nonsense"]
)
def test_an_address_without_a_password_is_unchanged(url: str) -> None:
    assert redact(url) == url


@pytest.mark.parametrize("url", ["redis://user:hush/x@host:6379/0", "redis://user:hush@host:port/0"])
def test_an_invalid_address_is_refused_without_showing_its_password(url: str) -> None:
    with pytest.raises(ConfigError, match=r"REDIS_URL.*expected redis://host:port/0") as caught:
        connect(url)
    assert "hush" not in str(caught.value)

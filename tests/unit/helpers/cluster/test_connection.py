"""Redis addresses never show their password."""

import pytest
import redis

from helpers.cluster.connection import check_reachable, connect, redact
from helpers.cluster.errors import RedisUnreachable
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


@pytest.mark.parametrize(
    "url",
    ["unix:///run/redis.sock?db=1", "redis://host/0?password=hush", "redis://host?db=1", "redis://host/x"],
)
def test_an_address_that_celery_cannot_use_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"REDIS_URL.*expected redis://host:port/0"):
        connect(url)


@pytest.mark.parametrize(("port", "command"), [(1, "redis-server --port 1"), (6379, "redis-server")])
def test_the_advice_names_the_port(port: int, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    client = connect(f"redis://127.0.0.1:{port}/0")

    def refuse() -> None:
        raise redis.ConnectionError("Connection refused")

    monkeypatch.setattr(client, "ping", refuse)
    with pytest.raises(RedisUnreachable, match=f"Start it \\(`{command}`, or"):
        check_reachable(client)

"""Folders of a deployment: who gets which secret, and what adding, revoking and renewing change."""

import datetime
import shutil
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from helpers.federated.sites.messages import ScoreOrder
from helpers.global_config import Config
from helpers.settings.errors import ConfigError, UserError
from helpers.sites import certificates
from helpers.sites.deployment import COORDINATOR, Deployment, open_deployment
from helpers.sites.policy import Policy
from helpers.sites.provisioning import Provision
from helpers.weight_store.store import MemoryStore, StoreError

UPDATE = "dt:site:north:run:s:update:1:0:0"


@pytest.fixture(autouse=True)
def short_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificates, "RSA_BITS", 1024)


@pytest.fixture
def provision(tmp_path: Path) -> Provision:
    return Provision.create(tmp_path / "p", ["north", "south"], "10.0.0.5", 6390, "10.0.0.5")


def opened(provision: Provision, name: str) -> Deployment:
    place = provision.folder / (COORDINATOR if name == COORDINATOR else f"sites/{name}")
    return Deployment.open(place)


def certificate(file: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(file.read_bytes())


def test_private_keys_are_where_they_belong_and_nobody_else_reads_them(provision: Provision) -> None:
    files = {file.relative_to(provision.folder).as_posix() for file in provision.folder.rglob("*.key")}
    of_tls = {f"{place}/tls.key" for place in ("server", "coordinator", "sites/north", "sites/south")}
    assert files == of_tls | {"ca/ca.key", "coordinator/orders.key"}
    assert all(file.stat().st_mode & 0o077 == 0 for file in provision.folder.rglob("*"))
    texts = {file: file.read_text() for file in provision.folder.rglob("*") if file.is_file()}
    for place in ("coordinator", "sites/north", "sites/south"):
        environment = next((provision.folder / place).glob("*.env")).read_text()
        password = environment.partition("rediss://")[2].partition("@")[0].partition(":")[2]
        assert len(password) == 48
        assert [file.parent for file, text in texts.items() if password in text] == [provision.folder / place]


def test_certificates_are_those_of_the_authority(provision: Provision) -> None:
    authority = certificate(provision.folder / "ca/ca.crt")
    for place, kind in (
        ("server", "serverAuth"),
        ("sites/north", "clientAuth"),
        ("coordinator", "clientAuth"),
    ):
        tls = certificate(provision.folder / place / "tls.crt")
        tls.verify_directly_issued_by(authority)
        (usage,) = tls.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert usage._name == kind
    names = certificate(provision.folder / "server/tls.crt").extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert [str(address) for address in names.value.get_values_for_type(x509.IPAddress)] == [
        "10.0.0.5",
        "127.0.0.1",
    ]
    assert "bind 127.0.0.1 10.0.0.5\n" in (provision.folder / "server/redis.conf").read_text()
    orders = [file.read_bytes() for file in provision.folder.rglob("orders.crt")]
    assert len(orders) == 3
    assert len(set(orders)) == 1


def test_members_verify_each_others_signatures(provision: Provision) -> None:
    hub, north = opened(provision, COORDINATOR), opened(provision, "north")
    signature = north.sign(b"reply")
    assert hub.verify("north", b"reply", signature)
    for name, data, wrong in (
        ("south", b"reply", signature), ("north", b"other", signature), ("west", b"reply", signature),
        ("north", b"reply", "no hex"), ("north", b"reply", ""),
    ):  # fmt: skip
        assert not hub.verify(name, data, wrong)


def test_an_update_is_opened_by_the_coordinator_alone(provision: Provision) -> None:
    inside = MemoryStore()
    opened(provision, "north").sealed(inside).put(UPDATE, [b"weights"])
    assert opened(provision, COORDINATOR).sealed(inside).get(UPDATE, 7) == b"weights"
    assert opened(provision, "north").sealed(inside).get(UPDATE, 7) == b"weights"
    with pytest.raises(StoreError, match="not sealed"):
        opened(provision, "south").sealed(inside).get(UPDATE, 7)
    with pytest.raises(StoreError, match="west is not a member"):
        opened(provision, COORDINATOR).sealed(inside).get(UPDATE.replace("north", "west"), 7)


def test_only_the_coordinator_has_what_signs_orders(provision: Provision) -> None:
    assert opened(provision, "north").order_signature() == {}
    assert set(opened(provision, COORDINATOR).order_signature()) == {"key", "cert"}


def test_a_site_is_added(provision: Provision) -> None:
    again = Provision.open(provision.folder)
    again.add("west")
    assert again.sites == ["north", "south", "west"]
    assert "user west on #" in (again.folder / "server/users.acl").read_text()
    for member in (COORDINATOR, "south"):
        assert opened(again, member).verify("west", b"x", opened(again, "west").sign(b"x"))
    assert "copy the new `members.json`" in (again.folder / "sites/south/README.md").read_text()
    assert "10.0.0.5:6390" in (again.folder / "sites/west/site.env").read_text()
    assert Policy.load(again.folder / "sites/west") == Policy()


def test_a_revoked_site_has_no_user_and_no_signature(provision: Provision) -> None:
    signature = opened(provision, "north").sign(b"x")
    provision.revoke("north")
    assert provision.sites == ["south"]
    users = (provision.folder / "server/users.acl").read_text().splitlines()
    assert [line.split()[1] for line in users] == ["default", COORDINATOR, "south"]
    for member in (COORDINATOR, "south"):
        assert not opened(provision, member).verify("north", b"x", signature)
    assert not (provision.folder / "sites/north").exists()
    with pytest.raises(UserError, match="none of this name, only south"):
        provision.revoke("north")


def test_renewed_certificates_are_of_the_same_keys(
    provision: Provision, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = provision.folder / "sites/north"
    before, key = certificate(place / "tls.crt"), (place / "tls.key").read_bytes()
    monkeypatch.setattr(certificates, "DAYS", 700)
    Provision.open(provision.folder).renew()
    after = certificate(place / "tls.crt")
    assert after.not_valid_after_utc - before.not_valid_after_utc > datetime.timedelta(days=300)
    assert after.public_key() == before.public_key()
    assert (place / "tls.key").read_bytes() == key
    assert (place / "orders.crt").read_bytes() == (provision.folder / "coordinator/orders.crt").read_bytes()


@pytest.mark.parametrize("name", ["", "a b", "../x", "coordinator", "default", "NORTH", "*", "x" * 41])
def test_names_that_no_site_can_have(provision: Provision, name: str) -> None:
    with pytest.raises(UserError, match="site"):
        provision.add(name)
    assert provision.sites == ["north", "south"]


@pytest.mark.parametrize("sites", [["a", "A"], ["a", "a"], ["a", "b c"]])
def test_a_wrong_name_leaves_no_folder(tmp_path: Path, sites: list[str]) -> None:
    with pytest.raises(UserError, match="site"):
        Provision.create(tmp_path / "p", sites, "10.0.0.5", 1, "10.0.0.5")
    assert not (tmp_path / "p").exists()


def test_a_site_is_revoked_whose_folder_was_handed_over(provision: Provision) -> None:
    shutil.rmtree(provision.folder / "sites/north")
    provision.revoke("north")
    assert provision.sites == ["south"]


@pytest.mark.parametrize("setting", [{"NAMESPACE": "n"}, {"WEIGHT_STORE": "file:///tmp/w"}])
def test_settings_that_do_not_fit_a_deployment(provision: Provision, setting: dict[str, Any]) -> None:
    place = str(provision.folder / "coordinator")
    with pytest.raises(ConfigError, match="leave NAMESPACE and WEIGHT_STORE"):
        open_deployment(Config(DEPLOYMENT=place, **setting))


def test_folders_that_are_refused(provision: Provision, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not empty"):
        Provision.create(provision.folder, ["a"], "10.0.0.5", 1, "10.0.0.5")
    with pytest.raises(UserError, match="--bind: received 'redis"):
        Provision.create(tmp_path / "q", ["a"], "redis.example", 1, "redis.example")
    with pytest.raises(UserError, match="has no deployment"):
        Provision.open(tmp_path / "q")
    (provision.folder / "ca/ca.key").unlink()
    with pytest.raises(UserError, match=r"ca\.key is needed"):
        provision.add("west")


def test_a_machine_opens_its_own_folder_only(provision: Provision) -> None:
    place = str(provision.folder / "sites/north")
    assert open_deployment(Config(SITE="north", DEPLOYMENT=place)).name == "north"
    with pytest.raises(ConfigError, match="that of north, not of south"):
        open_deployment(Config(SITE="south", DEPLOYMENT=place))
    with pytest.raises(ConfigError, match="not a folder that"):
        open_deployment(Config(DEPLOYMENT=str(provision.folder)))
    (provision.folder / "sites/north/keys.json").chmod(0o644)
    with pytest.raises(ConfigError, match="other users can read"):
        open_deployment(Config(SITE="north", DEPLOYMENT=place))


def test_an_expired_certificate_is_named(provision: Provision, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificates, "BACKDATED", datetime.timedelta(days=9))
    monkeypatch.setattr(certificates, "DAYS", -2)
    provision.renew()
    with pytest.raises(ConfigError, match=r"tls\.crt expired 2 days ago"):
        opened(provision, "north")


def test_order_has_place_for_a_serial_number() -> None:
    facts: dict[str, Any] = {"run": "r", "session": "s", "settings": {}, "data_digest": "", "versions": {}}
    order = ScoreOrder(**facts, attempt=0, round=1, client=0, split="val", weights={}, threshold=0.5)
    assert ScoreOrder.from_message({**order.to_message(), "serial": 5}).serial == 5

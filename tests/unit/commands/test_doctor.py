"""What the doctor says of each part, and what makes it fail."""

import importlib.metadata

import pytest

from commands import doctor
from commands.doctor import Finding
from helpers.cluster.connection import redact
from helpers.cluster.errors import ServerNotFound
from helpers.global_config import Config


@pytest.mark.parametrize(("essential", "status"), [(True, 1), (False, 0)])
def test_only_an_essential_part_makes_it_fail(essential, status, monkeypatch, capsys):
    findings = [Finding("disk", True, "room"), Finding("gpu", False, "none", essential)]
    monkeypatch.setattr(doctor, "examine", lambda: iter(findings))
    assert doctor.report() == status
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["disk", "ok", "room"]
    assert lines[1].split() == ["gpu", "MISSING" if essential else "note", "none"]


def test_packages_are_compared_with_the_pins(tmp_path):
    file = tmp_path / "requirements.txt"
    file.write_text(
        f"# pins\npytest=={importlib.metadata.version('pytest')}\nabsent==1; sys_platform == 'none'\n"
    )
    assert doctor.packages(file).ok
    file.write_text("pytest==0.1\nno-such-package==2\n")
    finding = doctor.packages(file)
    assert not finding.ok
    assert "not 0.1" in finding.text
    assert "no-such-package absent, not 2: run `python run.py setup`" in finding.text


def test_data_is_looked_for_prepared_then_raw(tmp_path):
    config = Config.load(DATA_DIR=tmp_path / "images", PREPROCESSED_DIR=tmp_path / "prepared")
    assert "or try `python run.py demo`" in doctor.data(config).text
    for label in "01":
        (tmp_path / "images" / label).mkdir(parents=True)
    assert doctor.data(config).text.startswith("images in")
    (tmp_path / "prepared").mkdir()
    (tmp_path / "prepared" / "manifest.json").touch()
    assert doctor.data(config).text.startswith("prepared in")


def test_without_redis_it_says_what_can_be_started(monkeypatch):
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.setattr(doctor, "find_binary", lambda: "/bin/redis-server")
    redis, workers = doctor.redis_and_workers("redis://127.0.0.1:1/0")
    assert redis.ok
    assert redis.text == "none at 127.0.0.1:1; `up`, `train` and `demo` start /bin/redis-server"
    assert (workers.ok, workers.essential) == (False, False)


def test_without_anything_to_start_it_fails(monkeypatch):
    def nothing():
        raise ServerNotFound("install redis-server")

    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.setattr(doctor, "find_binary", nothing)
    assert doctor.redis_to_start("127.0.0.1:1") == Finding("redis", False, "install redis-server")
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    assert "start it there, or unset REDIS_URL" in doctor.redis_to_start("127.0.0.1:1").text


def test_without_a_gpu_it_says_that_training_works(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert doctor.gpu() == Finding(
        "gpu", False, "none found: training runs on the processor", essential=False
    )


def test_bfloat16_is_recommended_where_the_processor_has_it(monkeypatch):
    monkeypatch.setattr(doctor, "have_bfloat16", lambda: True)
    assert "--precision mixed_bfloat16 --train-step fast" in doctor.processors().text


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("redis://:hush@host/1", "redis://:***@host/1"),
        (
            "rediss://user:hu@sh@host:1/0?ssl_cert_reqs=required",
            "rediss://user:***@host:1/0?ssl_cert_reqs=required",
        ),
    ],
)
def test_a_password_is_not_shown(url, shown):
    assert redact(url) == shown

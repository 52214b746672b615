"""`run.py doctor`: one line per part of this machine, which is ok or says what to do."""

import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from helpers.cluster.connection import address, check_reachable, connect
from helpers.cluster.errors import ClusterError, RedisUnreachable, ServerNotFound
from helpers.cluster.heartbeat import live_workers
from helpers.cluster.versions import ROOT
from helpers.cluster.worker_status import WorkerStatus
from helpers.global_config import Config
from helpers.launcher.embedded_redis import find_binary, redis_url_given
from helpers.launcher.gpus import count_visible, gpu_names, has_libraries
from helpers.launcher.processors import BFLOAT16_ADVICE, have_bfloat16
from helpers.settings.command_line import ArgumentParser
from helpers.settings.errors import ConfigError, UserError, how_to_install
from run import differing_packages

LEAST_FREE_GB = 2.0


class Finding(NamedTuple):
    """The state of one part."""

    part: str
    ok: bool
    text: str
    essential: bool = True


def main(arguments: Sequence[str]) -> int:
    """Run the command; return the exit status."""
    ArgumentParser(prog="run.py doctor", description="Checks this machine.").parse_args(arguments)
    return report()


def report() -> int:
    """Print a line for every part; return 0 if all essential parts are ok, else 1."""
    findings = list(examine())
    for finding in findings:
        mark = "ok" if finding.ok else ("MISSING" if finding.essential else "note")
        print(f"{finding.part:<10} {mark:<8} {finding.text}")
    return 0 if all(finding.ok for finding in findings if finding.essential) else 1


def examine() -> Iterator[Finding]:
    """Check every part, the cheap ones first."""
    yield Finding("python", True, f"{sys.version.split()[0]} ({sys.executable})")
    yield packages()
    yield disk()
    yield gpu()
    yield processors()
    try:
        config = Config.load()
    except ConfigError as error:
        yield Finding("settings", False, str(error))
        return
    yield Finding("settings", True, "defaults and environment are valid")
    yield data(config)
    sees_workers = not (config.SITE and config.DEPLOYMENT)
    yield from redis_and_workers(config.REDIS_URL.get_secret_value(), sees_workers=sees_workers)


def packages(file: Path = ROOT / "requirements.txt") -> Finding:
    """Check that the installed versions are those that the requirement file pins."""
    wrong = list(differing_packages(file))
    if wrong:
        return Finding("packages", False, f"{'; '.join(wrong)}: run `python run.py setup`")
    return Finding("packages", True, f"as {file.name} pins them")


def disk() -> Finding:
    """Check that there is room for checkpoints and prepared images."""
    free = shutil.disk_usage(ROOT).free / 1e9
    advice = "" if free >= LEAST_FREE_GB else f": free some, at least {LEAST_FREE_GB:g} GB are needed"
    return Finding("disk", not advice, f"{free:.1f} GB free{advice}")


def gpu() -> Finding:
    """Check that NVIDIA's driver shows a device and that TensorFlow's CUDA libraries are installed."""
    names = "; ".join(gpu_names())
    if not names:
        return Finding("gpu", False, "none found: training runs on the processor", essential=False)
    if not count_visible():
        text = f"{names}, unused: CUDA_VISIBLE_DEVICES hides them; training runs on the processor"
        return Finding("gpu", False, text, essential=False)
    if not has_libraries():
        text = f"{names}, unused: {how_to_install('gpu')}, with which TensorFlow uses it"
        return Finding("gpu", False, text, essential=False)
    return Finding("gpu", True, names)


def processors() -> Finding:
    """Say whether the processors compute in bfloat16."""
    if have_bfloat16():
        return Finding("processor", True, BFLOAT16_ADVICE)
    return Finding("processor", False, "no bfloat16 known: training in float32 is as fast", essential=False)


def data(config: Config) -> Finding:
    """Check that there are images, prepared or not."""
    if (config.PREPROCESSED_DIR / "manifest.json").is_file():
        return Finding("data", True, f"prepared in {config.PREPROCESSED_DIR}")
    if any(path.is_dir() for path in config.DATA_DIR.glob("*")):  # classes may have any names
        return Finding("data", True, f"images in {config.DATA_DIR}, prepared when training starts")
    text = f"none: put images into {config.DATA_DIR}/0 and /1, or try `python run.py demo`"
    return Finding("data", False, text, essential=False)


def redis_and_workers(url: str, *, sees_workers: bool = True) -> Iterator[Finding]:
    """Check that Redis runs or can be started, and list the live workers, unless this user may not."""
    try:
        client = connect(url)
        check_reachable(client)
    except RedisUnreachable:
        yield redis_to_start(address(connect(url)))
        yield Finding("workers", False, "none: `python run.py up --workers 3` starts some", essential=False)
        return
    except (ClusterError, UserError) as error:
        yield Finding("redis", False, str(error))
        return
    yield Finding("redis", True, f"answers at {address(client)}")
    if not sees_workers:
        return
    names = [name + _gpu_of(status) for name, status in sorted(live_workers(client).items())]
    text = ", ".join(names) or "none: `python run.py up --workers 3` starts some"
    yield Finding("workers", bool(names), text, essential=False)


def _gpu_of(status: WorkerStatus) -> str:
    """Return the GPU that a worker reports, in parentheses."""
    return f" (gpu {status['gpu']})" if status.get("gpu") else ""


def redis_to_start(place: str) -> Finding:
    """Check that a Redis can be started, because none answers at `place`."""
    if redis_url_given():
        return Finding("redis", False, f"{place} does not answer: start it there, or unset REDIS_URL")
    try:
        return Finding("redis", True, f"none at {place}; `up`, `train` and `demo` start {find_binary()}")
    except ServerNotFound as error:
        return Finding("redis", False, str(error))

"""The command of a training: settings, errors and exit status around `run_training`."""

import argparse
import sys
import time
from collections.abc import Callable

from helpers.global_config import Config
from helpers.settings.command_line import config_from_arguments
from helpers.settings.errors import ConfigError, UserError
from helpers.settings.outside_text import printable
from helpers.settings.privacy_rules import check_private_training

RunTraining = Callable[[argparse.Namespace, Config, str], None]


def run_command(options: argparse.Namespace, run_training: RunTraining) -> int:
    """Train as the command line says; return the exit status."""
    from helpers.cluster.connection import redact
    from helpers.cluster.errors import ClusterError, RunTakenOver
    from helpers.cluster.refusals import translating
    from helpers.launcher.own_clusters import announced

    try:
        config = config_from_arguments(Config, options)
    except UserError as error:
        print(f"error: {printable(error)}", file=sys.stderr)
        return 2
    run = options.resume or options.run or time.strftime("%Y-%m-%d_%H-%M-%S")
    try:
        url = config.REDIS_URL.get_secret_value()
        with translating(redact(url)), announced(url, config.MODELS_DIR):
            train(options, config, run, run_training)
    except UserError as error:
        print(f"error: {printable(error)}", file=sys.stderr)
        return 2
    except ClusterError as error:
        goes_on = isinstance(error, RunTakenOver)
        hint = "" if goes_on else _how_to_resume(config, run, options)
        print(f"error: {printable(error)}{hint}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print(f"stopped{_how_to_resume(config, run, options)}", file=sys.stderr)
        return 130
    return 0


def train(options: argparse.Namespace, config: Config, run: str, run_training: RunTraining) -> None:
    """Run one training, or with `--compare` all that are compared.

    Raises:
        UserError, ClusterError, KeyboardInterrupt: as `run_training`.
    """
    if config.NAMESPACE != Config.load().NAMESPACE:
        raise ConfigError("NAMESPACE: set DT_NAMESPACE in the environment of every process, not in a file")
    if advice := _speed_advice(config):
        print(advice, flush=True)
    if not options.compare:
        run_training(options, config, run)
        return
    if config.DATA_AT == "sites":  # nobody sees the images of all, so there is no pooled training
        comparing = config.model_copy(update={"LOCAL_MODELS": True})
        check_private_training(comparing)
        run_training(options, comparing, run)
        return
    from commands.budgets import compare_budgets

    compare_budgets(options, config, run, run_training)


def _speed_advice(config: Config) -> str:
    """Recommend bfloat16 where this machine's processors have it and the network trains faster with it."""
    from helpers.architectures import ARCHITECTURES, OWN
    from helpers.launcher.gpus import count_visible
    from helpers.launcher.processors import BFLOAT16_ADVICE, have_bfloat16

    has_fast_step = ARCHITECTURES.get(config.ARCHITECTURE, OWN).has_fast_step
    is_slow = has_fast_step and config.PRECISION == "float32" and config.DATA_AT != "sites"
    return BFLOAT16_ADVICE if is_slow and have_bfloat16() and not count_visible() else ""


def _how_to_resume(config: Config, run: str, options: argparse.Namespace) -> str:
    """Return the command that continues the run, if there is something to continue."""
    from helpers.run_records.files import RunFolders

    if not RunFolders.of(config, run).state.exists():
        return ""
    comparing = " --compare" if options.compare else ""
    return f"\nto continue: {options.resume_with} --resume {run}{comparing}"

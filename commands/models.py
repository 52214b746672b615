"""`run.py models`: the networks, what each costs per round, and how fast it trains on this machine."""

from collections.abc import Sequence

from helpers.global_config import Config
from helpers.settings.command_line import ArgumentParser, add_settings, config_from_arguments

SETTINGS = ("INPUT_SHAPE", "INPUT_DIM", "TRAIN_BATCH_SIZE", "PRECISION", "XLA", "THREADS")
"""The settings that size and speed of a network depend on."""


def main(arguments: Sequence[str]) -> int:
    """Run the command; return the exit status."""
    parser = ArgumentParser(prog="run.py models", description="Lists the networks and what each costs.")
    parser.add_argument("--no-timing", action="store_true", help="do not measure the speed")
    add_settings(parser, Config, only=SETTINGS)
    options = parser.parse_args(arguments)
    config = config_from_arguments(Config, options)
    from helpers.cluster.process_tuning import tune_process

    tune_process()  # as in a worker; only works before TensorFlow is imported
    from commands.tensorflow_loading import load_tensorflow

    load_tensorflow()
    from commands.network_costs import print_costs

    print_costs(config, with_timing=not options.no_timing)
    return 0

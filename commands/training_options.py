"""Command line of a training, shared by `distributed_training_index.py` and `run.py train`."""

import argparse
from collections.abc import Sequence

from helpers.global_config import Config
from helpers.settings.command_line import ArgumentParser, add_settings

SCRIPT = "python distributed_training_index.py"
HELP = """\
Train the CNN on the images in preprocessed/ (prepared from the image folder if absent) with the Celery
workers that are running. Each round is one chord. Results are written to metrics/<run>/ and models/<run>/.
"""
EXAMPLES = """\
before you start, in other terminals:
  redis-server
  celery --app=celery_app worker --pool=solo --loglevel=info --hostname=worker1@%h     (worker2, worker3 …)
or both at once:
  python run.py up --workers 3

examples:
  python distributed_training_index.py
  python distributed_training_index.py --run first --epochs 20 --train-batch-size 16
  python distributed_training_index.py --resume first

exit status: 0 done; 2 a setting or input is wrong; 3 the cluster could not finish; 130 interrupted
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a training: its name, what else to do, and one for every setting."""
    name = parser.add_mutually_exclusive_group()
    name.add_argument("--run", metavar="NAME", help="name of the run [date and time]")
    name.add_argument("--resume", metavar="NAME", help="continue a run after its last finished round")
    parser.add_argument(
        "--force", action="store_true", help="resume although settings, images or versions have changed"
    )
    parser.add_argument(
        "--compare",
        action="store_true",
        help="also train pooled in one process and each client alone, clients + 2 trainings in all, and "
        "compare their tests",
    )
    parser.add_argument("--tensorboard", action="store_true", help="also write metrics/<run>/tensorboard")
    parser.add_argument("--overwrite", action="store_true", help="replace a run of the same name")
    parser.add_argument(
        "--take-over", action="store_true", help="take the run from another process that is training it"
    )
    parser.add_argument("--resume-with", default=SCRIPT, help=argparse.SUPPRESS)  # named in messages
    add_settings(parser, Config)


def hide(parser: argparse.ArgumentParser, *names: str) -> None:
    """Leave options, named as in the parsed ones, out of the help of a command that refuses them."""
    for action in parser._actions:
        if action.dest in names:
            action.help = argparse.SUPPRESS


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line of `distributed_training_index.py`."""
    parser = ArgumentParser(
        description=HELP, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser)
    return parser.parse_args(arguments)

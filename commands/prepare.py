"""`run.py prepare`: the same as `python preprocessing/load_and_create_dataset.py`."""

from collections.abc import Sequence

from preprocessing import load_and_create_dataset


def main(arguments: Sequence[str]) -> int:
    """Run the command; return the exit status."""
    return load_and_create_dataset.main(arguments, "python run.py prepare")

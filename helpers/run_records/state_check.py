"""Checks of state.json: a person may have edited it, and its file names must stay inside the run's folder."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from helpers.federated.messages import RunState

FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def wrong_field(state: RunState, facts: Mapping[str, Any]) -> str:
    """Return what is wrong with the content of state.json, as a phrase; empty if it is valid."""
    values = {**vars(state), **facts}
    for name, (is_valid, wanted) in _FIELDS.items():
        if name in values and not is_valid(values[name]):
            return f"`{name}` is {_shown(values[name])}, expected {wanted}"
    return ""


def _shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_file(value: Any) -> bool:
    return isinstance(value, str) and FILE_NAME.fullmatch(value) is not None


def _is_table(value: Any) -> bool:
    return isinstance(value, dict)


def _or_null(is_valid: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or is_valid(value)


def _is_table_of_files(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_file, value.values()))


def _are_tables(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_table, value))


_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "run": (lambda value: isinstance(value, str), "text"),
    "round": (_is_count, "a whole number from 0"),
    "weights_file": (_is_file, "the name of a file"),
    "best_round": (_or_null(_is_count), "a whole number from 0 or null"),
    "best_roc_auc": (_or_null(_is_number), "a number or null"),
    "best_weights_file": (_or_null(_is_file), "the name of a file or null"),
    "state_files": (_is_table_of_files, "a table of file names"),
    "server_file": (_or_null(_is_file), "the name of a file or null"),
    "server_file_before": (_or_null(_is_file), "the name of a file or null"),
    "sites": (_are_tables, "a list of tables"),
    "partition_clients": (_or_null(_is_count), "a whole number from 0 or null"),
    "settings": (_is_table, "a table"),
    "versions": (_is_table, "a table"),
    "data_digest": (lambda value: isinstance(value, str), "text"),
    "tables": (_is_table_of_files, "a table of file names"),
}

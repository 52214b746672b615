"""Checkpoints: weights, client and server states, and state.json, from which a run resumes."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from helpers.federated.messages import RunState
from helpers.federated.weights import Schema, Weights
from helpers.run_records import fence
from helpers.run_records.files import RecordError, RunFolders, remove, write_whole
from helpers.weight_store.codec import Buffers, CodecError, decode, encode, start_digest

STATE_FORMAT = 1
NO_STATES: dict[str, Any] = {"state_files": {}, "server_file": None, "server_file_before": None}
NO_BEST: dict[str, Any] = dict.fromkeys(("best_round", "best_roc_auc", "best_val_loss", "best_weights_file"))
LATER_FIELDS: dict[str, Any] = {
    **NO_STATES,
    "sites": [],
    "partition_clients": None,
    "best_val_loss": None,
    "tables_file": None,
    "ema_file": None,
    "epoch": 0,
}
"""Fields that the state of a run of an earlier version may lack."""


def save_weights(folders: RunFolders, round_number: int, schema: Schema, weights: Weights) -> str:
    """Write the global weights after a round; return the file's name.

    Raises:
        RecordError: the file could not be written.
    """
    return _save(folders, f"weights-{round_number:04d}", schema, weights)


def save_ema(folders: RunFolders, round_number: int, schema: Schema, weights: Weights) -> str:
    """Write the average over the rounds after a round; return the file's name.

    Raises:
        RecordError: the file could not be written.
    """
    return _save(folders, f"ema-{round_number:04d}", schema, weights)


def save_client_state(
    folders: RunFolders, round_number: int, client: int, schema: Schema, state: Weights
) -> str:
    """Write a client's state after a round; return the file's name.

    Raises:
        RecordError: the file could not be written.
    """
    return _save(folders, f"state-{round_number:04d}-{client}", schema, state)


def save_server_state(folders: RunFolders, round_number: int, schema: Schema, state: Weights) -> str:
    """Write the server's state after a round; return the file's name.

    Raises:
        RecordError: the file could not be written.
    """
    return _save(folders, f"server-{round_number:04d}", schema, state)


def _save(folders: RunFolders, stem: str, schema: Schema, arrays: Weights) -> str:
    return save_record(folders, stem, ".safetensors", encode([spec.name for spec in schema], arrays))


def save_record(folders: RunFolders, stem: str, suffix: str, data: Buffers) -> str:
    """Write a file with its digest in its name; return the name.

    Raises:
        RecordError: the file could not be written.
    """
    name = f"{stem}-{_digest(data)[:12]}{suffix}"
    write_whole(folders.models / name, *data)
    return name


def _digest(data: Buffers) -> str:
    """Return the digest as in a Reference of the weight store."""
    return start_digest(data).hexdigest()


def holds(name: str, sha256: str) -> bool:
    """Return whether a saved file has this digest (that of a Reference), judged by its name."""
    return Path(name).stem.endswith(f"-{sha256[:12]}")


def load_arrays(folders: RunFolders, name: str, schema: Schema) -> Weights:
    """Read arrays that one of the `save_…` functions wrote.

    Raises:
        RecordError: the file is missing, damaged, or from another model.
    """
    try:
        return decode(read_record(folders, name), schema)
    except CodecError as error:
        raise RecordError(f"{folders.models / name} could not be read: {error}") from error


def read_record(folders: RunFolders, name: str) -> bytes:
    """Return the content of a file that has its digest in its name.

    Raises:
        RecordError: the file is missing or damaged.
    """
    path = folders.models / name
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RecordError(f"{path} could not be read: {error}") from error
    if not holds(name, _digest([data])):
        raise RecordError(f"{path} is damaged: its digest differs from the one in its name")
    return data


def commit(folders: RunFolders, state: RunState, facts: dict[str, Any]) -> None:
    """Write state.json, the last step of a round, then delete files that it no longer names.

    `facts` are what a resume checks: settings, data_digest, versions.

    Raises:
        RecordError: the file could not be written, so the round is not committed.
    """
    state = replace(state, epoch=fence.epoch_of(folders) or state.epoch)
    content = {"format": STATE_FORMAT, "state": state.to_message(), **facts}
    write_whole(folders.state, json.dumps(content, indent=1, sort_keys=True).encode())
    named = {state.weights_file, state.best_weights_file, *state.state_files.values()}
    named |= {state.server_file, state.server_file_before, state.tables_file, state.ema_file}
    for file in [*folders.models.glob("*.safetensors"), *folders.models.glob("tables-*.json")]:
        if file.name not in named:
            remove(file)


def read_state(folders: RunFolders) -> tuple[RunState, dict[str, Any]]:
    """Read state.json; return the state and the facts.

    Raises:
        RecordError: it is missing or not understood.
    """
    try:
        content = json.loads(folders.state.read_bytes())
        if content.pop("format") != STATE_FORMAT:
            raise RecordError(f"{folders.state}: written by another version of this project")
        state = RunState.from_message({**LATER_FIELDS, **content.pop("state")})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else error
        raise RecordError(f"{folders.state} could not be read: {reason}") from error
    if wrong := wrong_field(state, content):
        raise RecordError(f"{folders.state} is damaged: {wrong}. Restore the file from a copy")
    return state, content


# Checks of state.json: a person may have edited it, and its file names must stay inside the run's folder.

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
    "tables_file": (_or_null(_is_file), "the name of a file or null"),
    "ema_file": (_or_null(_is_file), "the name of a file or null"),
    "epoch": (_is_count, "a whole number from 0"),
    "sites": (_are_tables, "a list of tables"),
    "partition_clients": (_or_null(_is_count), "a whole number from 0 or null"),
    "settings": (_is_table, "a table"),
    "versions": (_is_table, "a table"),
    "data_digest": (lambda value: isinstance(value, str), "text"),
}

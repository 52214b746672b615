"""Checkpoints: weights, client and server states, and state.json, from which a run resumes."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NotRequired

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from helpers.federated.results import RunState
from helpers.federated.weights import Schema, Weights
from helpers.run_records.files import RecordError, RunFolders, remove, write_whole
from helpers.weight_store.codec import Buffer, Buffers, CodecError, decode, encode, start_digest

STATE_FORMAT = 1
FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # stays inside the run's folder
DAMAGED = "{} is damaged: {}. Restore the file from a copy"
NO_STATES: dict[str, Any] = {"state_files": {}, "server_file": None, "server_file_before": None}
NO_BEST: dict[str, Any] = dict.fromkeys(("best_round", "best_roc_auc", "best_val_loss", "best_weights_file"))


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


def read_record(folders: RunFolders, name: str, read: Callable[[Path], Buffer] = Path.read_bytes) -> Buffer:
    """Return the content of a file that has its digest in its name, as `read` returns it.

    Raises:
        RecordError: the file is missing or damaged.
    """
    path = folders.models / name
    try:
        data = read(path)
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
    state = replace(state, epoch=folders.epoch or state.epoch)
    content = {"format": STATE_FORMAT, "state": state.to_message(), **facts}
    write_whole(folders.state, json.dumps(content, indent=1, sort_keys=True).encode())
    named = _files(state)
    for file in [*folders.models.glob("*.safetensors"), *folders.models.glob("tables-*")]:
        if file.name not in named:
            remove(file)


@with_config(ConfigDict(extra="allow"))
class _StateFile(TypedDict):
    """Content of state.json, which a person may have edited."""

    format: Literal[1]
    state: RunState
    settings: NotRequired[dict[str, Any]]
    versions: NotRequired[dict[str, Any]]
    data_digest: NotRequired[str]


_STATE_FILE = TypeAdapter(_StateFile)


def read_state(folders: RunFolders) -> tuple[RunState, dict[str, Any]]:
    """Read state.json; return the state and the facts.

    Raises:
        RecordError: it is missing, damaged or of another version.
    """
    try:
        content: dict[str, Any] = {**_STATE_FILE.validate_json(folders.state.read_bytes(), strict=True)}
    except OSError as error:
        raise RecordError(f"{folders.state} could not be read: {error}") from error
    except ValidationError as error:
        raise RecordError(_wrong(folders.state, error)) from None
    del content["format"]
    state = content.pop("state")
    if outside := [name for name in _files(state) if not FILE_NAME.fullmatch(name)]:
        raise RecordError(
            DAMAGED.format(folders.state, f"{ascii(outside[0])[:60]} is not the name of a file")
        )
    counts = {name: vars(state)[name] for name in ("round", "best_round", "partition_clients", "epoch")}
    if below := [name for name, count in counts.items() if (count or 0) < 0]:
        raise RecordError(DAMAGED.format(folders.state, f"`{below[0]}` is below 0"))
    return state, content


def _files(state: RunState) -> set[str]:
    """Return the names of the files that belong to a state."""
    of_model = (state.weights_file, state.best_weights_file, state.ema_file)
    of_run = (state.server_file, *state.tables.values(), *state.state_files.values())
    return {name for name in (*of_model, *of_run) if name is not None}


def _wrong(path: Path, error: ValidationError) -> str:
    """Return the first thing that is wrong with the content of state.json, as a sentence."""
    problem = error.errors()[0]
    name = next((f"`{name}`" for name in problem["loc"] if name != "state"), "its content")
    if name == "`format`":
        return f"{path}: written by another version of this project"
    if problem["type"] == "missing":
        return DAMAGED.format(path, f"{name} is missing")
    text = ascii(problem["input"])
    return DAMAGED.format(path, f"{name} is {text if len(text) <= 60 else text[:60] + '…'}: {problem['msg']}")

"""Checkpoints: weights, client and server states, and state.json, from which a run resumes."""

import json
from typing import Any

from helpers.federated.messages import RunState
from helpers.federated.weights import Schema, Weights
from helpers.run_records.files import RecordError, RunFolders, write_whole
from helpers.run_records.state_check import wrong_field
from helpers.weight_store.codec import Buffers, CodecError, decode, encode, start_digest

STATE_FORMAT = 1
NO_STATES: dict[str, Any] = {"state_files": {}, "server_file": None, "server_file_before": None}


def save_weights(folders: RunFolders, round_number: int, schema: Schema, weights: Weights) -> str:
    """Write the global weights after a round; return the file's name.

    Raises:
        RecordError: the file could not be written.
    """
    return _save(folders, f"weights-{round_number:04d}", schema, weights)


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
    data = encode([spec.name for spec in schema], arrays)
    name = f"{stem}-{_digest(data)[:12]}.safetensors"
    write_whole(folders.models / name, *data)
    return name


def _digest(data: Buffers) -> str:
    """Return the digest as in a Reference of the weight store."""
    return start_digest(data).hexdigest()


def holds(name: str, sha256: str) -> bool:
    """Return whether a saved file has this digest (that of a Reference), judged by its name."""
    return name.endswith(f"-{sha256[:12]}.safetensors")


def load_arrays(folders: RunFolders, name: str, schema: Schema) -> Weights:
    """Read arrays that one of the `save_…` functions wrote.

    Raises:
        RecordError: the file is missing, damaged, or from another model.
    """
    path = folders.models / name
    try:
        data = path.read_bytes()
        if not holds(name, _digest([data])):
            raise RecordError(f"{path} is damaged: its digest differs from the one in its name")
        return decode(data, schema)
    except (OSError, CodecError) as error:
        raise RecordError(f"{path} could not be read: {error}") from error


def commit(folders: RunFolders, state: RunState, facts: dict[str, Any]) -> None:
    """Write state.json, the last step of a round, then delete array files that it no longer names.

    `facts` are what a resume checks: settings, data_digest, versions.

    Raises:
        RecordError: the file could not be written, so the round is not committed.
    """
    content = {"format": STATE_FORMAT, "state": state.to_message(), **facts}
    write_whole(folders.state, json.dumps(content, indent=1, sort_keys=True).encode())
    named = {state.weights_file, state.best_weights_file, *state.state_files.values()}
    named |= {state.server_file, state.server_file_before}
    for file in folders.models.glob("*.safetensors"):
        if file.name not in named:
            file.unlink(missing_ok=True)


def read_state(folders: RunFolders) -> tuple[RunState, dict[str, Any]]:
    """Read state.json; return the state and the facts.

    Raises:
        RecordError: it is missing or not understood.
    """
    try:
        content = json.loads(folders.state.read_bytes())
        if content.pop("format") != STATE_FORMAT:
            raise RecordError(f"{folders.state}: written by another version of this project")
        # Runs of early versions have no client states, server states or sites.
        defaults = {**NO_STATES, "sites": [], "partition_clients": None, "best_val_loss": None}
        state = RunState.from_message({**defaults, **content.pop("state")})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else error
        raise RecordError(f"{folders.state} could not be read: {reason}") from error
    if wrong := wrong_field(state, content):
        raise RecordError(f"{folders.state} is damaged: {wrong}. Restore the file from a copy")
    return state, content

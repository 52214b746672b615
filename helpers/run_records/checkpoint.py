"""Weights, clients' and server's states and state of a run on disk: what a resume starts from."""

import json
from typing import Any

from helpers.federated.messages import RunState
from helpers.federated.weights import Schema, Weights
from helpers.run_records.files import RecordError, RunFolders, write_whole
from helpers.weight_store.codec import CodecError, decode, encode
from helpers.weight_store.digest import start_digest
from helpers.weight_store.pieces import Buffers

STATE_FORMAT = 1
NO_STATES: dict[str, Any] = {"state_files": {}, "server_file": None, "server_file_before": None}


def save_weights(folders: RunFolders, round_number: int, schema: Schema, weights: Weights) -> str:
    """Write the global weights after a round; returns the file's name.

    Raises:
        RecordError: the file could not be written.
    """
    return _save(folders, f"weights-{round_number:04d}", schema, weights)


def save_client_state(
    folders: RunFolders, round_number: int, client: int, schema: Schema, state: Weights
) -> str:
    """Write what a client remembers after a round; returns the file's name.

    Raises:
        RecordError: the file could not be written.
    """
    return _save(folders, f"state-{round_number:04d}-{client}", schema, state)


def save_server_state(folders: RunFolders, round_number: int, schema: Schema, state: Weights) -> str:
    """Write what the server remembers after a round; returns the file's name.

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
    """As a Reference of the weight store has it."""
    return start_digest(data).hexdigest()


def holds(name: str, sha256: str) -> bool:
    """Whether the bytes of a file that was saved here have this digest (a Reference's), by its name."""
    return name.endswith(f"-{sha256[:12]}.safetensors")


def load_arrays(folders: RunFolders, name: str, schema: Schema) -> Weights:
    """Read what one of the `save_…` functions wrote.

    Raises:
        RecordError: the file is missing, damaged, or of another model.
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
    """Write state.json, the last step of a round, then drop files of arrays that nothing names any more.

    Args:
        folders: of the run.
        state: after the round.
        facts: what else a resume has to know: settings, data_digest.

    Raises:
        RecordError: the file could not be written; the round has not happened.
    """
    content = {"format": STATE_FORMAT, "state": state.to_message(), **facts}
    write_whole(folders.state, json.dumps(content, indent=1, sort_keys=True).encode())
    named = {state.weights_file, state.best_weights_file, *state.state_files.values()}
    named |= {state.server_file, state.server_file_before}
    for file in folders.models.glob("*.safetensors"):
        if file.name not in named:
            file.unlink(missing_ok=True)


def read_state(folders: RunFolders) -> tuple[RunState, dict[str, Any]]:
    """Read state.json: the state and the facts.

    Raises:
        RecordError: there is none, or it is not understood.
    """
    try:
        content = json.loads(folders.state.read_bytes())
        if content.pop("format") != STATE_FORMAT:
            raise RecordError(f"{folders.state}: written by another version of this project")
        # Before there were clients' and server's states and sites, a run's state did not name any.
        return RunState.from_message(
            {**NO_STATES, "sites": [], "partition_clients": None, **content.pop("state")}
        ), content
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordError(f"{folders.state} could not be read: {error}") from error

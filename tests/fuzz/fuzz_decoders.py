"""Fuzz what reads other people's bytes: only the project's own exceptions may come out.

Not collected by pytest; it needs Linux and atheris (requirements-dev.txt). From the repository root:

    python tests/fuzz/fuzz_decoders.py all -max_total_time=10
    python tests/fuzz/fuzz_decoders.py codec -max_total_time=300

The first argument is a target or `all`, one after another, each for the given time; continuous integration
runs it. What follows goes to libFuzzer. A finding is an input that raises anything else, gives a reason of
1,000 characters, takes 2 s or brings the process to 1 GiB: libFuzzer prints it and writes it to a file
`crash-…`, `timeout-…` or `oom-…`.
"""

import json
import resource
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import atheris
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

with atheris.instrument_imports(include=["helpers", "preprocessing"]):
    from helpers.cluster import job_board
    from helpers.cluster.message_filter import why_refused
    from helpers.cluster.worker_status import UnreadableStatus, decode_status
    from helpers.federated.messages import (
        FinishOrder,
        MessageError,
        Reference,
        RoundOrder,
        StartOrder,
        TrainOrder,
    )
    from helpers.federated.replies import ClientReply, read_replies
    from helpers.federated.results import RunState
    from helpers.federated.weights import schema_of
    from helpers.run_records.checkpoint import STATE_FORMAT, read_state
    from helpers.run_records.files import RecordError, RunFolders
    from helpers.weight_store.codec import CodecError, decode, encode
    from preprocessing.errors import PreprocessingError
    from preprocessing.prepare.sources.manifest_csv import read_columns

MEMORY_LIMIT = 1 << 30
FOLDER = Path(tempfile.gettempdir())  # set for each process in `main`
NAMES = ["a/kernel", "b/bias"]
ARRAYS = [np.arange(6, dtype=np.float32).reshape(2, 3), np.arange(2, dtype=np.int32)]
SCHEMA = schema_of(NAMES, ARRAYS)
ORDER = {"run": "r", "session": "s", "settings": {}, "data_digest": "d", "versions": {}, "attempt": 0}
ROUND = ORDER | {"round": 3, "clients": [0, 1], "weights": {}, "sent_at": 1.5, "states": {}, "num_clients": 2}
REFERENCE = Reference("k", 32, "ab", SCHEMA).to_message()
REPLY = ClientReply(3, 1, 0, "w", "ok", None, 5, 1, 0.5, REFERENCE, REFERENCE).to_message()
ENVELOPE = {
    "body": "W1tdLCB7fSwge31d",
    "content-encoding": "utf-8",
    "content-type": "application/json",
    "headers": {"lang": "py", "task": "tasks.train", "id": "1", "retries": 0, "timelimit": [None, None]},
    "properties": {
        "delivery_mode": 2, "delivery_info": {"exchange": "", "routing_key": "train"},
        "delivery_tag": "1", "body_encoding": "base64", "correlation_id": "1", "priority": 0,
    },
}  # fmt: skip
STATUS = {
    "token": "t", "pid": 1, "host": "h", "ready": True, "queues": ["train"], "threads": 1,
    "folders": {"METRICS_DIR": "/metrics"},
    "task": {"job": "train:1", "attempt": 0, "run": "r", "batch": 1, "batches": 2, "seconds": 0.5},
}  # fmt: skip
STATE = {
    "format": STATE_FORMAT, "settings": {}, "versions": {}, "data_digest": "d",
    "state": RunState("r", 3, "a.safetensors", 2, 0.7, "b.safetensors").to_message(),
}  # fmt: skip
ROWS = [["file", "patient", "label", "split"], ["a.png", "1", "0", "train"], ["b.png", "2", "1", "test"]]
GOOD = b"".join(encode(NAMES, ARRAYS))
HEADER_END = 8 + struct.unpack("<Q", GOOD[:8])[0]
READERS: list[tuple[Callable[[Any], Any], dict[str, Any]]] = [
    (StartOrder.from_message, ORDER | {"resume": False}),
    (FinishOrder.from_message, ORDER),
    (RoundOrder.from_message, ROUND),
    (TrainOrder.from_message, ROUND | {"client": 1}),
    (Reference.from_message, REFERENCE),
    (ClientReply.from_message, REPLY),
]


def fuzz_codec(data: bytes) -> None:
    """Decode `data` as it is, and once more as choices by which a good header and body are spoiled."""
    choices = atheris.FuzzedDataProvider(data)
    header: Any = json.loads(GOOD[8:HEADER_END])
    for _ in range(choices.ConsumeIntInRange(0, 3)):
        header = spoiled(choices, header)
    text = json.dumps(header).encode()
    body = choices.PickValueInList([GOOD[HEADER_END:], choices.ConsumeBytes(40)])
    size = choices.PickValueInList([len(text), len(text), choices.ConsumeIntInRange(0, (1 << 64) - 1)])
    for candidate in (data, struct.pack("<Q", size) + text + body):
        try:
            arrays = decode(candidate, SCHEMA)
        except CodecError as error:
            check_short(error)
        else:
            assert schema_of(NAMES, arrays) == SCHEMA


def fuzz_messages(data: bytes) -> None:
    """Read good messages that were spoiled as `data` chooses."""
    choices = atheris.FuzzedDataProvider(data)
    read, message = choices.PickValueInList(READERS)
    message = json.loads(json.dumps(message))
    for _ in range(choices.ConsumeIntInRange(0, 3)):
        message = spoiled(choices, message)
    try:
        read(message)
    except MessageError as error:
        check_short(error)
    (reply,) = read_replies(3, [1], [message])
    assert (reply.round, reply.client) == (3, 1)
    for part in (reply.update, reply.predictions, reply.state):
        try:
            Reference.from_message(part)
        except MessageError as error:
            check_short(error)
        try:
            Reference.from_short(part, SCHEMA)
        except MessageError as error:
            check_short(error)


def fuzz_envelopes(data: bytes) -> None:
    """Judge a message of a queue: `data` as it is, and a good one that was spoiled."""
    for item in (data, spoiled_json(data, ENVELOPE)):
        for is_task in (True, False):
            assert len(why_refused(item, is_task=is_task)) < 1000


def fuzz_heartbeats(data: bytes) -> None:
    """Decode the status of a worker."""
    for value in (data, spoiled_json(data, STATUS)):
        try:
            decode_status(value)
        except UnreadableStatus as error:
            check_short(error)


def fuzz_board(data: bytes) -> None:
    """Decode entries of the job board: answers and failures."""
    for value in (data, spoiled_json(data, {"worker": "w", "error": "no memory", "attempt": 0})):
        failure = job_board._failure(value)
        assert len(failure["worker"]) + len(failure["error"]) < 10_000
        try:
            job_board._table(value)
        except ValueError as error:
            check_short(error)


def fuzz_states(data: bytes) -> None:
    """Read a state.json."""
    folders = RunFolders(FOLDER, FOLDER)
    for content in (data, spoiled_json(data, STATE)):
        folders.state.write_bytes(content)
        try:
            read_state(folders)
        except RecordError as error:
            check_short(error)


def fuzz_manifests(data: bytes) -> None:
    """Read a manifest.csv: `data` as it is, and a good one with other cells, delimiters and encodings."""
    choices = atheris.FuzzedDataProvider(data)
    rows = [list(row) for row in ROWS]
    for _ in range(choices.ConsumeIntInRange(0, 3)):
        row = choices.PickValueInList(rows)
        row[choices.ConsumeIntInRange(0, len(row) - 1)] = choices.ConsumeUnicodeNoSurrogates(12)
    delimiter, encoding = (
        choices.PickValueInList([",", ";", "\t", "|"]),
        choices.PickValueInList(["utf-8", "utf-16"]),
    )
    text = "\n".join(delimiter.join(row) for row in rows)
    for content in (data, text.encode(encoding)):
        (FOLDER / "manifest.csv").write_bytes(content)
        try:
            read_columns(FOLDER / "manifest.csv")
        except PreprocessingError as error:
            check_short(error)


def spoiled_json(data: bytes, good: Any) -> bytes:
    """Return a good value as JSON, with up to three places spoiled as `data` chooses."""
    choices, value = atheris.FuzzedDataProvider(data), json.loads(json.dumps(good))
    for _ in range(choices.ConsumeIntInRange(0, 3)):
        value = spoiled(choices, value)
    return json.dumps(value).encode()


def check_short(error: Exception) -> None:
    """Make sure that a reason, which goes into CSV files and terminals, has an end."""
    assert len(str(error)) < 1000


def spoiled(choices: atheris.FuzzedDataProvider, value: Any) -> Any:
    """The same value with one place in it, at any depth, replaced, removed or added."""
    if not value or not isinstance(value, dict | list) or choices.ConsumeIntInRange(0, 3) == 0:
        return hostile(choices)
    place = choices.PickValueInList(list(value) if isinstance(value, dict) else list(range(len(value))))
    match choices.ConsumeIntInRange(0, 9):
        case 0:
            del value[place]
        case 1 if isinstance(value, dict):
            value[choices.ConsumeUnicodeNoSurrogates(10)] = hostile(choices)
        case _:
            value[place] = spoiled(choices, value[place])
    return value


def hostile(choices: atheris.FuzzedDataProvider, depth: int = 0) -> Any:
    """Any value that JSON can hold."""
    match choices.ConsumeIntInRange(0, 7 if depth < 3 else 5):
        case 0:
            return choices.PickValueInList([None, True, False, -1, 0, 1 << 63, 10**400, *NAMES, "F32", "U8"])
        case 1:
            return choices.ConsumeInt(9)
        case 2:
            return choices.ConsumeFloat()
        case 3:
            return choices.ConsumeUnicode(20)
        case 4:
            return choices.PickValueInList(["9", "[", "\0", "/", "a"]) * choices.ConsumeIntInRange(0, 6000)
        case 5:
            return []
        case 6:
            return [hostile(choices, depth + 1) for _ in range(choices.ConsumeIntInRange(0, 4))]
        case _:
            return {choices.ConsumeUnicodeNoSurrogates(8): hostile(choices, depth + 1) for _ in range(2)}


TARGETS: dict[str, Callable[[bytes], None]] = {
    "codec": fuzz_codec,
    "messages": fuzz_messages,
    "envelopes": fuzz_envelopes,
    "heartbeats": fuzz_heartbeats,
    "board": fuzz_board,
    "states": fuzz_states,
    "manifests": fuzz_manifests,
}


def main() -> None:
    """Run the target that the first argument names, or all."""
    global FOLDER
    target, *options = sys.argv[1:] or [""]
    if target == "all":
        statuses = [subprocess.run([sys.executable, __file__, name, *options]).returncode for name in TARGETS]
        sys.exit(max(map(abs, statuses)))
    if target not in TARGETS:
        sys.exit(f"usage: fuzz_decoders.py {{all,{','.join(TARGETS)}}} [option of libFuzzer …]")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    with tempfile.TemporaryDirectory() as corpus, tempfile.TemporaryDirectory() as folder:
        FOLDER = Path(folder)
        (Path(corpus) / "good").write_bytes(GOOD)
        atheris.Setup([sys.argv[0], "-timeout=2", "-rss_limit_mb=1024", *options, corpus], TARGETS[target])
        atheris.Fuzz()


if __name__ == "__main__":
    main()

"""Fuzz what reads other people's bytes: only the project's own exceptions may come out.

Not collected by pytest; it needs a CPython that atheris has a wheel for, and Linux. From the repository root:

    pip install atheris
    python tests/fuzz/fuzz_decoders.py codec -max_total_time=300
    python tests/fuzz/fuzz_decoders.py messages -max_total_time=120

What follows the target goes to libFuzzer. A finding is an input that raises anything else, gives a reason of
1,000 characters, takes 2 s or brings the process to 1 GiB: libFuzzer prints it and writes it to a file
`crash-…`, `timeout-…` or `oom-…`.

Seen with atheris 3.0.0 on Python 3.11, 311 s each: codec 1,699,658 inputs, messages 1,840,616; no finding, no
input of 1 s, memory 55 to 57 MB throughout. Before that, seconds were enough to find what is mended since: an
infinite size in a header (OverflowError), a length that is not a number (TypeError), unlimited reasons.
"""

import json
import resource
import struct
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import atheris
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

with atheris.instrument_imports(include=["helpers"]):
    from helpers.federated.messages import (
        FinishOrder,
        MessageError,
        Reference,
        RoundOrder,
        StartOrder,
        TrainOrder,
    )
    from helpers.federated.replies import ClientReply, read_replies
    from helpers.federated.weights import schema_of
    from helpers.weight_store.codec import CodecError, decode, encode

MEMORY_LIMIT = 1 << 30
NAMES = ["a/kernel", "b/bias"]
ARRAYS = [np.arange(6, dtype=np.float32).reshape(2, 3), np.arange(2, dtype=np.int32)]
SCHEMA = schema_of(NAMES, ARRAYS)
ORDER = {"run": "r", "session": "s", "settings": {}, "data_digest": "d", "versions": {}, "attempt": 0}
ROUND = ORDER | {"round": 3, "clients": [0, 1], "weights": {}, "sent_at": 1.5, "states": {}, "num_clients": 2}
REFERENCE = Reference("k", 32, "ab", SCHEMA).to_message()
REPLY = ClientReply(3, 1, 0, "w", "ok", None, 5, 1, 0.5, REFERENCE, REFERENCE).to_message()
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


TARGETS: dict[str, Callable[[bytes], None]] = {"codec": fuzz_codec, "messages": fuzz_messages}


def main() -> None:
    """Run the target that the first argument names."""
    target, *options = sys.argv[1:] or [""]
    if target not in TARGETS:
        sys.exit(f"usage: fuzz_decoders.py {{{','.join(TARGETS)}}} [option of libFuzzer …]")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    with tempfile.TemporaryDirectory() as corpus:
        (Path(corpus) / "good").write_bytes(GOOD)
        atheris.Setup([sys.argv[0], "-timeout=2", "-rss_limit_mb=1024", *options, corpus], TARGETS[target])
        atheris.Fuzz()


if __name__ == "__main__":
    main()

"""The filter of messages: what Celery sends passes, and whatever would end its consumer is refused."""

import base64
import bz2
import json
import random
import zlib
from typing import Any

import pytest
from kombu.transport import redis as kombu_redis

import celery_app
from helpers.cluster.message_filter import HEADERS, MOST_BYTES, CheckedChannel, why_refused

WEIRD: list[Any] = [5, -1, 1.5, True, "x", "", [], [1, 2], {}, {"a": [None]}, None, ["x", {}], 1e308]


def message(content: Any = None, **changes: Any) -> dict[str, Any]:
    """Return a message as kombu writes it, with changed headers."""
    amqp = celery_app.app.amqp
    task = amqp.as_task_v2("id-1", "tasks.train", args=[{"run": "r"}], group_id="g", chord={"task": "t"})
    content = list(task.body) if content is None else content
    return {
        "body": base64.b64encode(json.dumps(content).encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {**task.headers, **changes},
        "properties": {
            "correlation_id": "id-1",
            "reply_to": "",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "train", "routing_key": "train"},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": "tag",
        },
    }


def reason(item: Any) -> str:
    return why_refused(item if isinstance(item, bytes) else json.dumps(item).encode(), is_task=True)


def test_what_celery_sends_passes() -> None:
    assert reason(message()) == ""
    assert reason(message(traceparent="00-ab", baggage={"a": 1})) == ""  # of tracing tools


@pytest.mark.parametrize("body", [5, {}, [1, 2], None, "x", [[], {}], [{}, [], {}], [[], {}, None]])
def test_a_body_of_another_form_is_refused(body: Any) -> None:
    poison = message()
    poison["body"] = base64.b64encode(json.dumps(body).encode()).decode()
    assert reason(poison)
    assert reason(body)  # as the whole message


@pytest.mark.parametrize(
    "headers",
    [
        {"task": ["t"]}, {"task": None}, {"id": {}}, {"expires": []}, {"expires": "2020"}, {"eta": 5},
        {"timelimit": "x"}, {"timelimit": [1]}, {"timelimit": ["a", {}]}, {"stamps": 4},
        {"stamped_headers": [[]]}, {"retries": "x"}, {"group": []}, {"ignore_result": []}, {"chord": 5},
        {"is_eager": True}, {"called_directly": 1}, {"__class__": 1},
    ],
)  # fmt: skip
def test_a_header_that_would_end_the_worker_is_refused(headers: dict[str, Any]) -> None:
    assert reason(message(**headers))


@pytest.mark.parametrize("name", ["headers", "properties", "body", "content-type", "content-encoding"])
@pytest.mark.parametrize("value", [5, [1], "x\0", {"a": 1}])
def test_an_envelope_of_other_types_is_refused_or_harmless(name: str, value: Any) -> None:
    poison = message() | {name: value}
    if not reason(poison):
        assert (type(value), name) == (str, "content-encoding")


def test_a_compressed_message_is_refused_before_it_is_inflated() -> None:
    for method, compress in (("bzip2", bz2.compress), ("gzip", zlib.compress), ("x", bytes)):
        bomb = message(compression=method)
        bomb["body"] = base64.b64encode(compress(bytes(1 << 20))).decode()
        assert reason(bomb) == "it is compressed"


def test_size_and_depth_have_bounds() -> None:
    assert "MiB" in reason(b" " * (MOST_BYTES + 1))
    deep: Any = []
    for _ in range(200):
        deep = [deep]
    assert "deep" in reason(message([[deep], {}, {}]))
    assert reason(b"[" * 200_000 + b"]" * 200_000)
    nested = message()
    nested["body"] = base64.b64encode(b"[" * 200_000 + b"]" * 200_000).decode()
    assert reason(nested)


@pytest.mark.parametrize("item", [b"", b"\xff\xfe", b"{", b'{"__type__": "uuid", "__value__": 5}', b"null"])
def test_bytes_that_are_no_message_are_refused(item: bytes) -> None:
    assert reason(item)


def test_random_types_anywhere_never_raise_and_never_pass_where_celery_reads() -> None:
    draw = random.Random(15)
    for _ in range(3000):
        poison = message()
        part = draw.choice(["", "headers", "properties"])
        place = poison[part] if part else poison
        name = draw.choice(sorted(place))
        place[name] = value = draw.choice(WEIRD)
        text = reason(poison)
        assert len(text) < 200
        if part == "headers" and not text:
            assert name not in HEADERS or isinstance(value, HEADERS[name])


def test_a_refused_message_counts_as_none_and_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    channel = CheckedChannel.__new__(CheckedChannel)
    for item, expected in ((b"5", None), (json.dumps(message()).encode(), "itself")):
        response = (b"train", item)
        parsed = channel._parse(lambda *_, r=response, **__: r, None, "BRPOP")
        assert parsed == (response if expected else None)
    assert [record.getMessage() for record in caplog.records] == [
        "a message in the queue train is dropped: message: a int instead of a mapping"
    ]
    assert channel._parse(lambda *_, **__: b"5", None, "GET") == b"5"
    assert kombu_redis.Channel._receive_one  # the methods that are overridden are still there

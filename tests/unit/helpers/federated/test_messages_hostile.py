"""Whatever another process says, the answer is a message or a MessageError, and its reason has an end."""

import contextlib
import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.cluster.worker_session import WorkerSession
from helpers.federated.messages import (
    FinishOrder,
    Message,
    MessageError,
    Reference,
    RoundOrder,
    StartOrder,
    TrainOrder,
)
from helpers.federated.replies import ClientReply, read_replies
from helpers.federated.sites.messages import OfferOrder
from helpers.federated.weights import ArraySpec
from helpers.global_config import Config

ORDER = {
    "run": "r", "session": "s", "settings": {}, "data_digest": "d", "versions": {}, "attempt": 0, "site": "",
    "origin": "h:/here", "serial": 0, "expires_at": 0.0,
}  # fmt: skip
ROUND = ORDER | {"round": 3, "clients": [0, 1], "weights": {}, "sent_at": 1.5, "states": {}, "num_clients": 2}
ROUND |= {"sites": []}
ARRAY = {"name": "a", "dtype": "float32", "shape": [2, 3]}
REFERENCE = {"key": "k", "length": 24, "sha256": "ab", "schema": [ARRAY]}
REPLY = ClientReply(3, 1, 0, "w", "ok", None, 5, 1, 0.5, REFERENCE, REFERENCE).to_message()
GOOD: list[tuple[type[Message], dict[str, Any]]] = [
    (StartOrder, ORDER | {"resume": False}),
    (FinishOrder, ORDER),
    (RoundOrder, ROUND),
    (TrainOrder, ROUND | {"client": 1}),
    (Reference, REFERENCE),
    (ClientReply, REPLY),
]
HUGE = 10**400  # whole, but no float can hold it
INFINITE = float("inf")

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(HUGE) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@pytest.mark.parametrize(("kind", "good"), GOOD)
@given(data=st.data())
def test_any_value_in_any_field_is_read_or_refused(kind: type[Message], good: dict, data) -> None:
    field = data.draw(st.sampled_from(sorted(good)))
    message = good | {field: data.draw(json_values)}
    with contextlib.suppress(MessageError):
        assert isinstance(kind.from_message(message), kind)


@given(st.sampled_from(sorted(ARRAY)), json_values)
def test_any_value_in_a_schema_is_read_or_refused(field: str, value: Any) -> None:
    try:
        reference = Reference.from_message(REFERENCE | {"schema": [ARRAY | {field: value}]})
    except MessageError:
        return
    (spec,) = reference.schema
    assert isinstance(spec, ArraySpec)
    assert all(type(size) is int for size in spec.shape)


@given(
    json_values | st.dictionaries(st.sampled_from(["key", "length", "sha256", "schema", "x"]), json_values)
)
def test_any_short_reference_is_read_or_refused(data: Any) -> None:
    with contextlib.suppress(MessageError):
        assert Reference.from_short(data, (ArraySpec("a", "int8", (2, 3)),)).schema[0].dtype == "int8"


@pytest.mark.parametrize("value", [None, [], {}, "many", INFINITE, float("nan")])
def test_a_length_that_is_none_is_refused(value: Any) -> None:
    with pytest.raises(MessageError, match="not understood"):
        Reference.from_message(REFERENCE | {"length": value})


def test_a_shape_without_end_is_refused() -> None:
    with pytest.raises(MessageError, match="not understood"):
        Reference.from_message(REFERENCE | {"schema": [ARRAY | {"shape": [INFINITE]}]})


@given(st.sampled_from(sorted(REPLY)), json_values)
def test_any_reply_is_read_or_its_client_failed(field: str, value: Any) -> None:
    message = copy.deepcopy(REPLY) | {field: value}
    (reply,) = read_replies(3, [1], [message])
    assert (reply.round, reply.client) == (3, 1)
    assert reply.status == "failed" or type(reply.train_loss) in (int, float, type(None))


@pytest.mark.parametrize("loss", [HUGE, -HUGE, "", [], False, INFINITE])
def test_a_loss_that_is_none_fails_its_client(loss: Any) -> None:
    (reply,) = read_replies(3, [1], [REPLY | {"train_loss": loss}])
    assert reply.status == "failed"
    assert "not a finite number" in (reply.error or "")


def test_a_reason_is_cut() -> None:
    with pytest.raises(MessageError, match=r"^.{500}$"):
        Reference.from_message({"x" * 1_000_000: 1})
    (reply,) = read_replies(3, [1], [{"x" * 1_000_000: 1}])
    assert len(reply.error or "") < 600


@pytest.mark.parametrize("run", ["", ".", "../up", "/etc", "a/b", "a\\b", "a b", "x" * 101, "a\n", None, 7])
def test_an_order_cannot_lead_out_of_the_runs_folders(run: Any) -> None:
    with pytest.raises(MessageError, match="is not a run's name"):
        FinishOrder.from_message(ORDER | {"run": run})


@pytest.mark.parametrize(
    "name", ["MODELS_DIR", "METRICS_DIR", "PREPROCESSED_DIR", "REDIS_URL", "DT_REDIS_URL"]
)
def test_an_order_cannot_set_what_is_this_machines_alone(name: str) -> None:
    session = WorkerSession("worker", "redis://127.0.0.1:1/0", threads=1)
    settings = Config.load().for_run()
    session.check_settings(FinishOrder.from_message(ORDER | {"settings": settings}))
    with pytest.raises(MessageError, match=f"{name}.*not settings of a run"):
        session.check_settings(
            FinishOrder.from_message(ORDER | {"settings": settings | {name: "/elsewhere"}})
        )


def test_an_order_runs_as_what_it_was_signed_as() -> None:
    """The name of Celery's task is not signed; an order to offer weights could run as one to finish."""
    finish = FinishOrder.from_message(ORDER).to_message()
    assert FinishOrder.from_message(finish) == FinishOrder.from_message(ORDER)
    with pytest.raises(MessageError, match=r"an order for 'tasks\.finish_run', not tasks\.offer_best"):
        OfferOrder.from_message(finish)

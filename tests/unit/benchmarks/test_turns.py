"""Contenders take turns."""

from benchmarks.turns import in_turn


def test_every_contender_has_its_turn_and_each_begins_once():
    order = []
    contenders = {name: lambda name=name: order.append(name) or name.upper() for name in "abc"}
    told = []
    answers = in_turn(contenders, 3, lambda name, answer: told.append((name, answer)))
    assert "".join(order) == "abcbcacab"
    assert answers == {"a": ["A"] * 3, "b": ["B"] * 3, "c": ["C"] * 3}
    assert told[:2] == [("a", "A"), ("b", "B")]

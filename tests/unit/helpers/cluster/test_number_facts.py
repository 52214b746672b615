"""Workers that compute other bits are named once."""

from helpers.cluster.number_facts import NumberDifferences, number_facts

HERE = number_facts(2, {"tensorflow": "2.21.0"})


def test_the_facts() -> None:
    assert HERE["threads"] == 2
    assert HERE["oneDNN"] in ("0", "1")
    assert HERE["tensorflow"] == "2.21.0"


def test_a_difference_is_said_once_with_the_workers() -> None:
    notices: list[str] = []
    differences = NumberDifferences(notices.append)
    differences.check({"a": {"numbers": HERE}, "b": {"numbers": HERE}, "old": {}})
    assert notices == []
    for _ in range(2):
        differences.check({"a": {"numbers": HERE}, "b": {"numbers": HERE | {"threads": 1}}})
    (said,) = notices
    assert said.startswith("workers differ in threads (2 on a, 1 on b): numbers depend on")


def test_sites_are_not_compared() -> None:
    notices: list[str] = []
    numbers = [HERE, HERE | {"threads": 1}]
    workers = {
        name: {"numbers": each, "site": {"name": name}} for name, each in zip("ab", numbers, strict=True)
    }
    NumberDifferences(notices.append).check(workers)
    assert notices == []

"""Import of a user's own function or class that a setting names."""

import pytest

from helpers.settings.errors import ConfigError
from helpers.settings.own_code import REFERENCE, import_own, in_one_line


@pytest.mark.parametrize("reference", ["rules:Mine", "own.rules_2:mine"])
def test_a_reference_names_a_module_and_a_name_in_it(reference: str) -> None:
    assert REFERENCE.fullmatch(reference)


@pytest.mark.parametrize("reference", ["rules", "rules:", ":Mine", "a-b:c", "rules:Mine\n", "../x:y"])
def test_other_texts_are_not_references(reference: str) -> None:
    assert not REFERENCE.fullmatch(reference)


def test_the_function_or_class_is_returned() -> None:
    assert import_own("STRATEGY", "collections.abc:Mapping").__name__ == "Mapping"


def test_what_cannot_be_imported_names_setting_and_reason(tmp_path, monkeypatch) -> None:
    (tmp_path / "broken_module.py").write_text("raise ValueError('first\\nsecond')")
    monkeypatch.syspath_prepend(tmp_path)
    for reference, reason in (
        ("no_such_module:f", "importing no_such_module failed: ModuleNotFoundError: No module named"),
        (
            "broken_module:f",
            "importing broken_module failed: ValueError: first second; put it into",
        ),
        ("string:absent", "string has no function or class absent"),
        ("string:digits", "string has no function or class digits"),
    ):
        with pytest.raises(ConfigError, match=f"^OBSERVERS: received '{reference}': {reason}"):
            import_own("OBSERVERS", reference)


def test_an_error_is_reported_in_one_line() -> None:
    assert in_one_line(ValueError("first\n  second")) == "ValueError: first second"

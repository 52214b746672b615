"""Text from outside: no escape sequence, markup or formula keeps its effect."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from helpers.settings.outside_text import cell, from_cell, printable, shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Brüste [1] 乳房 .png", "Brüste [1] 乳房 .png"),
        ("\x1b[2J\x07", r"\x1b[2J\x07"),
        ("a\r\tb\x9b", r"a\x0d\x09b\x9b"),
        ("two\nlines", "two\nlines"),
        ("latin\udcff", r"latin\xff"),
        ("gnp.\u202eexe", r"gnp.\u202eexe"),
    ],
)
def test_control_characters_are_spelled_out(text: str, expected: str) -> None:
    assert printable(text) == expected
    printable(text).encode()


def test_rich_reads_no_markup() -> None:
    output = io.StringIO()
    Console(file=output, force_terminal=True, color_system="truecolor", width=80).print(
        shown("[red]x[/] \x1b]8;;http://evil\x1b\\ [/b]")
    )
    assert output.getvalue() == "[red]x[/] \\x1b]8;;http://evil\\x1b\\ [/b]\n"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "'=1", "''@"])
def test_a_formula_becomes_text(text: str) -> None:
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize("value", ["a=1", "", "'quoted'", "0/-1.png", -1, -0.5, None, float("inf")])
def test_anything_else_is_untouched(value: object) -> None:
    assert cell(value) == value
    assert from_cell(value) == value


@given(st.text(alphabet="'=+-@\t\rax1") | st.text())
def test_reading_undoes_writing(text: str) -> None:
    assert from_cell(cell(text)) == text
    assert cell(text)[:1] not in tuple("=+-@\t\r")

"""Rendering of the templates, as HTML pages and as Markdown. Values from files are never read as markup."""

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from helpers.reporting.pictures import several_shortened

TEMPLATES = Path(__file__).parent / "templates"
NOTHING = "–"
# An underscore within a word, as in names of settings, has no meaning in Markdown.
MARKUP = re.compile(r"[\\`*\[\]<>|&~$#]|(?<![^\W_])_|_(?![^\W_])")


def number(value: Any, digits: int = 3) -> str:
    """Return a number with `digits` decimals; a dash if undefined."""
    return NOTHING if value is None or value != value else f"{float(value):,.{digits}f}"


def cell(value: Any) -> str:
    """Format a number of a table that has both counts and metrics."""
    return number(value, 0) if isinstance(value, float) and value.is_integer() else number(value)


def percent(value: Any) -> str:
    return NOTHING if value is None or value != value else f"{value * 100:.0f} %"


def duration(seconds: float) -> str:
    """Format seconds in the two largest units."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def text(value: Any) -> Markup:
    """Escape text for one line of Markdown; Markup is returned unchanged."""
    if isinstance(value, Markup):
        return value
    return Markup(MARKUP.sub(r"\\\g<0>", re.sub(r"\s+", " ", str(value))))


def code(value: Any) -> Markup:
    """Format a name or value as Markdown code, also within tables; backticks become quotes."""
    return Markup("`" + " ".join(str(value).split()).replace("`", "'").replace("|", r"\|") + "`")


def render(template: str, **values: Any) -> bytes:
    """Render an HTML template of `templates/` as a self-contained page."""
    style = Markup((TEMPLATES / "style.css").read_text(encoding="utf-8"))
    return _environment().get_template(template).render(style=style, **values).encode("utf-8", "replace")


def render_markdown(template: str, **values: Any) -> bytes:
    """Render a Markdown template of `templates/`."""
    environment = _environment().overlay(finalize=text, keep_trailing_newline=True)
    return environment.get_template(template).render(**values).encode("utf-8", "replace")


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "several_shortened": several_shortened,
        "number": number,
        "cell": cell,
        "percent": percent,
        "duration": duration,
        "code": code,
    }
    return environment

"""From values to an HTML page: Jinja2 with autoescape, its templates and how they show numbers."""

from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from helpers.reporting.pictures import several_shortened

TEMPLATES = Path(__file__).parent / "templates"
NOTHING = "–"


def number(value: Any, digits: int = 3) -> str:
    """A number with `digits` decimals; a dash where there is none."""
    return NOTHING if value is None or value != value else f"{float(value):,.{digits}f}"


def cell(value: Any) -> str:
    """A number of a table that mixes counts and metrics."""
    return number(value, 0) if isinstance(value, float) and value.is_integer() else number(value)


def percent(value: Any) -> str:
    return NOTHING if value is None or value != value else f"{value * 100:.0f} %"


def duration(seconds: float) -> str:
    """Seconds in the largest two units that fit."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


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
    }
    return environment


def render(template: str, **values: Any) -> bytes:
    """Fill a template of `templates/`; the page needs nothing beside itself."""
    style = Markup((TEMPLATES / "style.css").read_text(encoding="utf-8"))
    return _environment().get_template(template).render(style=style, **values).encode("utf-8", "replace")

"""From values to a Markdown page: whatever a file says is shown as it is, never read as markup."""

import re
from functools import lru_cache
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from helpers.reporting.page import TEMPLATES, number

# An underscore within a word, as in names of settings, means nothing to Markdown.
MARKUP = re.compile(r"[\\`*\[\]<>|&~$#]|(?<![^\W_])_|_(?![^\W_])")


def text(value: Any) -> Markup:
    """One line of text in which nothing is markup; what is Markup already stays."""
    if isinstance(value, Markup):
        return value
    return Markup(MARKUP.sub(r"\\\g<0>", re.sub(r"\s+", " ", str(value))))


def code(value: Any) -> Markup:
    """A name or value as code, also within a table; grave accents, which would end it, become quotes."""
    return Markup("`" + " ".join(str(value).split()).replace("`", "'").replace("|", r"\|") + "`")


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,  # what a macro returns is Markup
        finalize=text,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"code": code, "number": number}
    return environment


def render_markdown(template: str, **values: Any) -> bytes:
    """Fill a Markdown template of `templates/`."""
    return _environment().get_template(template).render(**values).encode("utf-8", "replace")

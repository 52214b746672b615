"""A setting in words: what `--help`, docs/configuration.md and the model card show of it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import Field, SecretStr
from pydantic.fields import FieldInfo

TYPE_WORDS: dict[Any, str] = {
    int: "int",
    float: "float",
    bool: "bool",
    str: "text",
    Path: "path",
    SecretStr: "address",
}
SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def setting(default: Any, description: str, unit: str = "", *, local: bool = False, **limits: Any) -> Any:
    """Declare one setting.

    Args:
        default: the value without any other source.
        description: one or two sentences, shown in `--help` and in `docs/configuration.md`.
        unit: what the number counts.
        local: whether the value belongs to this machine and does not travel with a run.
        **limits: pydantic's limits (`ge`, `gt`, `le`, `lt`, `pattern`, `allow_inf_nan`).
    """
    return Field(default, description=description, json_schema_extra={"unit": unit, "local": local}, **limits)


@dataclass(frozen=True)
class TypeWords:
    """Words for an annotated type, part of its annotation."""

    words: str


@dataclass(frozen=True)
class Description:
    """A setting in words.

    Attributes:
        type, default, range, unit: as a table shows them; the default as JSON.
        is_local: whether it belongs to a machine and does not travel with a run.
        text: one or two sentences.
    """

    type: str
    default: str
    range: str
    unit: str
    is_local: bool
    text: str


def is_local(field: FieldInfo) -> bool:
    """Return whether a setting belongs to a machine and does not travel with a run."""
    extra: Any = field.json_schema_extra
    return bool(extra["local"])


def _shown(limit: float) -> str:
    return str(limit) if isinstance(limit, int) else f"{limit:g}"


def describe(field: FieldInfo) -> Description:
    """Return a setting in words."""
    extra: Any = field.json_schema_extra
    default, kind = field.default, field.annotation
    if isinstance(default, SecretStr):
        default = default.get_secret_value()
    choices = get_args(kind) if get_origin(kind) is Literal else ()
    words = [part.words for part in field.metadata if isinstance(part, TypeWords)]
    limits = [
        f"{sign} {_shown(getattr(limit, attribute))}"
        for limit in field.metadata
        for attribute, sign in SIGNS.items()
        if getattr(limit, attribute, None) is not None
    ]
    return Description(
        type=words[0] if words else "choice" if choices else TYPE_WORDS[kind],
        default=json.dumps(default, default=str),
        range=" or ".join(f"`{choice}`" for choice in choices) or ", ".join(limits),
        unit=extra["unit"],
        is_local=is_local(field),
        text=field.description or "",
    )

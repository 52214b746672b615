"""Types of the settings: they parse text from the environment and the command line, and check values."""

import json
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, NonNegativeInt, PositiveInt

from helpers.architectures import ARCHITECTURES
from helpers.evaluation.threshold_rule import parse_rule
from helpers.federated.sites.site import LONGEST_CLASS_NAME as LONGEST_CLASS_NAME
from helpers.federated.sites.site import is_class_name as is_class_name
from helpers.settings.description import TypeWords
from helpers.settings.own_code import REFERENCE
from helpers.settings.strategy_rules import check_name

AUGMENTATION_PRESETS = ("readme", "light", "strong", "ultrasound", "none")
"""Those of `preprocessing.feed.augment_images`."""
USUAL_CLASS_NAMES = ("non-cancerous", "cancerous")
"""Names of the labels 0 and 1 where the data have none."""


def _as_list(value: Any) -> Any:
    """Parse `64,64`, `64x64` and `[64,64]`."""
    if not isinstance(value, str):
        return value
    return [part for part in value.strip("[]() ").replace("x", ",").split(",") if part.strip()]


def _as_pair(value: Any) -> Any:
    """Parse as `_as_list` and require two entries."""
    parts = _as_list(value)
    is_cut = isinstance(value, str) and not value.strip("[]() ")[-1:].isdecimal()  # such as 64,64x
    if is_cut or not isinstance(parts, list | tuple) or len(parts) != 2:
        raise ValueError(f"received {value!r}: expected a pair of whole numbers, such as 64,64")
    return parts


def _as_number(value: Any) -> Any:
    """Parse the text of a whole number."""
    return int(value) if isinstance(value, str) and value.strip().isdecimal() else value


def _as_count_or_auto(value: Any) -> Any:
    """Parse `auto` or a whole number from 1 to 10,000."""
    if value == "auto":
        return value
    try:
        count = int(str(value))
    except ValueError:
        count = 0
    if not 1 <= count <= 10_000:
        raise ValueError(
            f"received {value!r}: expected a whole number greater than or equal to 1, at most 10000, or auto"
        )
    return count


def _as_names(value: Any) -> Any:
    """Parse names from `a,b`."""
    if not isinstance(value, str):
        return value
    return [part.strip() for part in value.strip("[]").split(",") if part.strip()]


def _as_class_names(value: Any) -> Any:
    """Parse names from `a,b`, or from `["a", "b"]` if names contain commas."""
    if not isinstance(value, str):
        return value
    if not value.lstrip().startswith("["):
        return tuple(name.strip() for name in value.split(","))
    try:
        return tuple(json.loads(value))
    except ValueError:
        raise ValueError(f'received {value!r}: expected names as a,b or as ["a", "b"]') from None


def _check_class_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Require no names, or at least two different ones that a table can show."""
    if names and (len(names) < 2 or len(set(names)) < len(names)):
        raise ValueError(f"received {names}: expected at least two names, all different")
    if wrong := [name for name in names if not is_class_name(name)]:
        raise ValueError(f"received {wrong[0]!r}: expected 1 to {LONGEST_CLASS_NAME} letters, in one line")
    return names


def _check_architecture(name: str) -> str:
    """Require a registered network, or the name of a function."""
    if name not in ARCHITECTURES and not REFERENCE.fullmatch(name):
        known = ", ".join(ARCHITECTURES)
        raise ValueError(
            f"received {name!r}: expected {known}, or a function of your own as package.module:function"
        )
    return name


def _check_pretrained(name: str) -> str:
    """Require `none`, `imagenet`, `package` or the name of a file, never a path."""
    if name not in ("none", "imagenet", "package") and not re.fullmatch(
        r"\w[\w.-]*\.(keras|h5)", name, re.ASCII
    ):
        raise ValueError(
            f"received {name!r}: expected none, imagenet, package, or the name of a .keras or .h5 file in "
            "PRETRAINED_DIR on the machine that starts the run"
        )
    return name


def _check_augmentation(name: str) -> str:
    """Require a preset, the name of a file that `A.save` wrote, or its content."""
    is_file = name.lower().endswith((".json", ".yaml", ".yml"))
    if name not in AUGMENTATION_PRESETS and not name.startswith("{") and not is_file:
        raise ValueError(
            f"received {name!r}: expected {', '.join(AUGMENTATION_PRESETS)}, or a .json or .yaml file that "
            "Albumentations' A.save wrote"
        )
    return name


def _check_threshold_rule(text: str) -> str:
    """Require a rule that the choice of the threshold can read."""
    parse_rule(text)
    return text


def _as_share(value: Any) -> Any:
    """Read `true` as `pairs` and `false` as `none`, the values of version 0.1.0."""
    return {"true": "pairs", "false": "none"}.get(str(value).lower(), value)


Channels = Annotated[Literal[1, 3], BeforeValidator(_as_number)]
Pair = Annotated[tuple[PositiveInt, PositiveInt], BeforeValidator(_as_pair), TypeWords("pair of int")]
CountOrAuto = Annotated[int | Literal["auto"], BeforeValidator(_as_count_or_auto), TypeWords("int or `auto`")]
ClientList = Annotated[tuple[NonNegativeInt, ...], BeforeValidator(_as_list), TypeWords("list of int")]
NameList = Annotated[tuple[str, ...], BeforeValidator(_as_names), TypeWords("list of text")]
ClassNames = Annotated[
    tuple[str, ...],
    BeforeValidator(_as_class_names),
    AfterValidator(_check_class_names),
    TypeWords("list of text"),
]
ArchitectureName = Annotated[str, AfterValidator(_check_architecture)]
PretrainedName = Annotated[str, AfterValidator(_check_pretrained)]
StrategyName = Annotated[str, AfterValidator(check_name)]
ShareScores = Annotated[Literal["counts", "pairs", "none"], BeforeValidator(_as_share)]
ThresholdRule = Annotated[str, AfterValidator(_check_threshold_rule)]
AugmentationName = Annotated[str, AfterValidator(_check_augmentation)]

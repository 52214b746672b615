"""Which label each class has, named by folders or in manifest.csv."""

from collections.abc import Collection, Sequence

from helpers.settings.types import LONGEST_CLASS_NAME, USUAL_CLASS_NAMES, is_class_name
from preprocessing.errors import COMMAND, PreprocessingError, name_some

# Names that leave no doubt; `_` and `-` count as spaces, capitals do not matter.
ONE = {"malignant", "cancer", "cancerous", "positive", "abnormal"}
ZERO = {"benign", "normal", "healthy", "negative", "no cancer", "non cancer", "non cancerous", "noncancerous"}

Names = tuple[str, ...]


def name_classes(
    names: Collection[str], positive: str, class_names: Sequence[str], where: str
) -> tuple[Names, Names]:
    """Decide which class has which label.

    Args:
        names: the different names found; `0`, `1`, … without a gap are labels already.
        positive: of two, the name that is 1 as the user says, or empty.
        class_names: CLASS_NAMES: the names found, in order of the labels, or what the labels found mean;
            or empty.
        where: what has these names, for the message.

    Returns:
        What each label means; the one of `names` that has it. Both in order of the labels.

    Raises:
        PreprocessingError: fewer than two classes, the order is not known, a name is too long, or what the
            user says does not fit.
    """
    found = sorted(names)
    if unfit := [name for name in found if not is_class_name(name)]:
        raise PreprocessingError(
            f"{where} has the class {unfit[0]!r}: names of classes are 1 to {LONGEST_CLASS_NAME} letters, in "
            "one line; shorten it"
        )
    alike: dict[str, str] = {}
    for name in found:
        if (other := alike.setdefault(_plain(name), name)) != name:
            raise PreprocessingError(f"{where} has the classes {other} and {name}: make it one name")
    if positive and positive not in found:
        raise PreprocessingError(f"--positive-class: received {positive!r}, {where} has {name_some(found)}")
    if positive and len(found) > 2:
        raise PreprocessingError(
            f"--positive-class: is for two classes, {where} has {len(found)} ({name_some(found)}); "
            "--class-names gives an order, the name of label 0 first"
        )
    labels = tuple(str(label) for label in range(max(2, len(found))))
    is_numbered = set(found) <= set(labels)
    if len(found) < 2 and not is_numbered:
        raise PreprocessingError(
            f"two or more classes are needed; {where} has {len(found)} ({name_some(found)}); "
            "give each class a folder, or a label in a manifest.csv"
        )
    if class_names:
        return _in_given_order(found, labels if is_numbered else (), positive, tuple(class_names), where)
    if is_numbered:
        order = labels[::-1] if positive == "0" else labels
        return USUAL_CLASS_NAMES if len(labels) == 2 else labels, order
    order = _order_two(found, positive, where) if len(found) == 2 else _order_more(found, where)
    return order, order


def _in_given_order(
    found: list[str], labels: Names, positive: str, class_names: Names, where: str
) -> tuple[Names, Names]:
    """`name_classes` where the user names the classes; `labels` is empty where `found` are no labels."""
    if set(class_names) == set(found):
        order = class_names
    elif len(class_names) == len(labels):
        order = labels
    else:
        raise PreprocessingError(
            f"CLASS_NAMES: received {len(class_names)} names ({name_some(class_names)}), {where} has "
            f"{len(labels or found)} classes ({name_some(labels or found)}); name each "
            f"{'of the labels' if labels else 'exactly so'}, that of label 0 first, or leave CLASS_NAMES out"
        )
    if positive and positive != order[1]:
        raise PreprocessingError(
            f"--positive-class: received {positive!r}, but by CLASS_NAMES ({', '.join(class_names)}) that is "
            "0; leave one of the two out"
        )
    return class_names, order


def _order_two(found: list[str], positive: str, where: str) -> Names:
    """Two classes, the cancerous one last."""
    sure = [name for name in found if _plain(name) in ONE]
    if not positive and len(sure) == 1 and all(_plain(name) in ZERO for name in found if name != sure[0]):
        positive = sure[0]
    if not positive:
        raise PreprocessingError(
            f"{where} has the classes {found[0]} and {found[1]}: which is 1 (cancerous) is not clear: "
            f'add --positive-class "{found[0]}" or --positive-class "{found[1]}" to {COMMAND}'
        )
    (other,) = (name for name in found if name != positive)
    return other, positive


def _order_more(found: list[str], where: str) -> Names:
    """More classes, in alphabetical order; numbers with a gap may be labels or not."""
    if all(name.isdecimal() for name in found):
        numbers = sorted(found, key=int)
        raise PreprocessingError(
            f"{where} has the classes {name_some(numbers)}: numbers are labels where they are 0 to "
            f"{len(found) - 1}; number the classes so, or if these are their names, add "
            f"--class-names {','.join(numbers)} to {COMMAND}"
        )
    return tuple(found)


def _plain(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())

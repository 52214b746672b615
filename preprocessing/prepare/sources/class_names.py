"""Labels of the classes, from the names of folders or from manifest.csv."""

from collections.abc import Collection, Sequence

from helpers.settings.types import LONGEST_CLASS_NAME, USUAL_CLASS_NAMES, is_class_name
from preprocessing.errors import COMMAND, PreprocessingError, name_some

# Names whose label is certain, with `_` and `-` as spaces, in lower case.
ONE = {"malignant", "cancer", "cancerous", "positive", "abnormal"}
ZERO = {"benign", "normal", "healthy", "negative", "no cancer", "non cancer", "non cancerous", "noncancerous"}

Names = tuple[str, ...]


def name_classes(
    names: Collection[str], positive: str, class_names: Sequence[str], where: str
) -> tuple[Names, Names]:
    """Assign a label to every class.

    Args:
        names: the distinct names in the data; `0`, `1`, … without a gap are labels already.
        positive: the user's name for label 1 of two classes, or empty.
        class_names: CLASS_NAMES: `names` in order of their labels, or the meanings of numbered labels; or
            empty.
        where: the place of these names, for messages.

    Returns:
        The meaning of each label, and the member of `names` with that label. Both in order of the labels.

    Raises:
        PreprocessingError: fewer than two classes, unknown order, an unsuitable name, or contradicting
            arguments.
    """
    ordered = sorted(names)
    if unfit := [name for name in ordered if not is_class_name(name)]:
        raise PreprocessingError(
            f"{where} has the class {unfit[0]!r}: names of classes are 1 to {LONGEST_CLASS_NAME} letters on "
            "one line; shorten it"
        )
    seen: dict[str, str] = {}
    for name in ordered:
        if (other := seen.setdefault(_plain(name), name)) != name:
            raise PreprocessingError(f"{where} has the classes {other} and {name}; use one name for both")
    if positive and positive not in ordered:
        raise PreprocessingError(f"--positive-class: received {positive!r}, {where} has {name_some(ordered)}")
    if positive and len(ordered) > 2:
        raise PreprocessingError(
            f"--positive-class: is for two classes, {where} has {len(ordered)} ({name_some(ordered)}); "
            "use --class-names instead, with the name of label 0 first"
        )
    labels = tuple(str(label) for label in range(max(2, len(ordered))))
    is_numbered = set(ordered) <= set(labels)
    if len(ordered) < 2 and not is_numbered:
        raise PreprocessingError(
            f"two or more classes are needed; {where} has {len(ordered)} ({name_some(ordered)}); "
            "give each class a folder, or a label in a manifest.csv"
        )
    if class_names:
        return _in_given_order(ordered, labels if is_numbered else (), positive, tuple(class_names), where)
    if is_numbered:
        order = labels[::-1] if positive == "0" else labels
        return USUAL_CLASS_NAMES if len(labels) == 2 else labels, order
    order = _order_two(ordered, positive, where) if len(ordered) == 2 else _order_more(ordered, where)
    return order, order


def _in_given_order(
    names: list[str], labels: Names, positive: str, class_names: Names, where: str
) -> tuple[Names, Names]:
    """Assign labels by CLASS_NAMES; `labels` is empty if `names` are not labels themselves."""
    if set(class_names) == set(names):
        order = class_names
    elif len(class_names) == len(labels):
        order = labels
    else:
        raise PreprocessingError(
            f"CLASS_NAMES: received {len(class_names)} names ({name_some(class_names)}), {where} has "
            f"{len(labels or names)} classes ({name_some(labels or names)}); name "
            f"{'each label' if labels else 'exactly these'}, that of label 0 first, or leave CLASS_NAMES out"
        )
    if positive and positive != order[1]:
        raise PreprocessingError(
            f"--positive-class: received {positive!r}, but CLASS_NAMES ({', '.join(class_names)}) makes it "
            "label 0; leave one of the two out"
        )
    return class_names, order


def _order_two(names: list[str], positive: str, where: str) -> Names:
    """Order two classes, the cancerous one last."""
    certain = [name for name in names if _plain(name) in ONE]
    is_clear = len(certain) == 1 and all(_plain(name) in ZERO for name in names if name != certain[0])
    if not positive and is_clear:
        positive = certain[0]
    if not positive:
        raise PreprocessingError(
            f"{where} has the classes {names[0]} and {names[1]}, and which is 1 (cancerous) is not clear; "
            f'add --positive-class "{names[0]}" or --positive-class "{names[1]}", options of '
            "`run.py prepare`, `train` and `evaluate`"
        )
    (other,) = (name for name in names if name != positive)
    return other, positive


def _order_more(names: list[str], where: str) -> Names:
    """Return three or more classes in alphabetical order; refuse numbers with a gap, which may be labels."""
    if all(name.isdecimal() for name in names):
        numbers = sorted(names, key=int)
        raise PreprocessingError(
            f"{where} has the classes {name_some(numbers)}, but numbered labels are 0 to {len(names) - 1}; "
            "number the classes so, or if these numbers are their names, add "
            f"--class-names {','.join(numbers)} to {COMMAND}"
        )
    return tuple(names)


def _plain(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())

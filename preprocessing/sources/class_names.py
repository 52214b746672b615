"""Which of two classes, named by folders or in manifest.csv, is 1."""

from collections.abc import Collection

from helpers.global_config import USUAL_CLASS_NAMES
from preprocessing.errors import COMMAND, PreprocessingError, name_some

# Names that leave no doubt; `_` and `-` count as spaces, capitals do not matter.
ONE = {"malignant", "cancer", "cancerous", "positive", "abnormal"}
ZERO = {"benign", "normal", "healthy", "negative", "no cancer", "non cancer", "non cancerous", "noncancerous"}


def name_classes(names: Collection[str], positive: str, where: str) -> tuple[tuple[str, str], str]:
    """Decide which class is 1.

    Args:
        names: the different names found; `0` and `1` are labels already.
        positive: the name that is 1 as the user says, or empty.
        where: what has these names, for the message.

    Returns:
        What 0 and 1 mean; the one of `names` that is 1.

    Raises:
        PreprocessingError: not two classes, or it is not known which is 1.
    """
    found = sorted(names)
    if positive and positive not in found:
        raise PreprocessingError(f"--positive-class: received {positive!r}, {where} has {name_some(found)}")
    if set(found) <= {"0", "1"}:
        return USUAL_CLASS_NAMES, positive or "1"
    if len(found) != 2:
        raise PreprocessingError(
            f"two classes are supported; {where} has {len(found)} ({name_some(found)}); "
            "join or leave out some, by the column label of a manifest.csv"
        )
    sure = [name for name in found if _plain(name) in ONE]
    if not positive and len(sure) == 1 and all(_plain(name) in ZERO for name in found if name != sure[0]):
        positive = sure[0]
    if not positive:
        raise PreprocessingError(
            f"{where} has the classes {found[0]} and {found[1]}: which is 1 (cancerous) is not clear: "
            f'add --positive-class "{found[0]}" or --positive-class "{found[1]}" to {COMMAND}'
        )
    (other,) = (name for name in found if name != positive)
    return (other, positive), positive


def _plain(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())

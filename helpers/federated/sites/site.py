"""Sites: clients whose images lie apart, and which of them can take part."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from helpers.federated.messages import Message, MessageError

Counts = list[int]
"""Number of images of each class."""
MOST_IMAGES = 1 << 31
SITE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
"""What the setting SITE may be: the name goes into queues, tables and pages."""
LONGEST_CLASS_NAME = 100  # letters
MOST_CLASSES = 1000
MOST_SHOWN = 12
DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Site(Message):
    """What a site tells of itself with its workers' heartbeat.

    Attributes:
        name: as DT_SITE.
        data_digest: sha256 of the manifest of its preprocessed data.
        input_shape: height, width (pixels) and channels of its images.
        classes: names of their classes, in order of the labels.
        train, val, test: its images.
    """

    name: str
    data_digest: str
    input_shape: list[int]
    classes: list[str]
    train: Counts
    val: Counts
    test: Counts

    @classmethod
    def from_message(cls, data: Any) -> Self:
        site = super().from_message(data)
        for value, kind in ((site.name, SITE_NAME), (site.data_digest, DIGEST)):
            if not isinstance(value, str) or not kind.fullmatch(value):
                raise MessageError(f"Site: {value!r} is no name or no digest")
        names = site.classes
        is_list = isinstance(names, list) and 2 <= len(names) <= MOST_CLASSES
        if not is_list or not all(isinstance(name, str) and is_class_name(name) for name in names):
            raise MessageError(f"Site {site.name}: its classes are no list of names")
        numbers = {"input_shape": 3, **dict.fromkeys(("train", "val", "test"), len(names))}
        for counts, number in ((getattr(site, field), number) for field, number in numbers.items()):
            whole = isinstance(counts, list) and all(type(n) is int and 0 <= n < MOST_IMAGES for n in counts)
            if not whole or len(counts) != number:
                raise MessageError(f"Site {site.name}: {counts!r} are no {number} counts")
        return site


def is_class_name(name: str) -> bool:
    """Whether a table can show it: 1 to LONGEST_CLASS_NAME letters, in one line."""
    return name.isprintable() and 0 < len(name) <= LONGEST_CLASS_NAME


def usable_sites(
    told: Mapping[str, Any],
    known: Sequence[Site],
    input_shape: tuple[int, int, int],
    class_names: Sequence[str],
) -> tuple[dict[str, Site], list[str]]:
    """Sort the live sites into those that can take part and reasons why others cannot.

    Args:
        told: what each live worker tells of its site, by the worker's name; None for one without.
        known: the sites that the run has had so far; their images must still be the same.
        input_shape: INPUT_SHAPE and INPUT_DIM.
        class_names: of the run.

    Returns:
        The sites by name, in order of their names, and a sentence for each that is left out.
    """
    found: dict[str, Site] = {}
    refused: dict[str, str] = {}
    before = {site.name: site.data_digest for site in known}
    for worker, message in sorted(told.items()):
        if message is None:
            continue
        try:
            site = Site.from_message(message)
        except MessageError as error:
            refused[worker] = f"worker {worker} tells no site that can be read: {error}"
            continue
        if found.setdefault(site.name, site) != site:
            refused[site.name] = f"site {site.name}: its workers have different images"
        elif before.get(site.name, site.data_digest) != site.data_digest:
            refused[site.name] = (
                f"site {site.name}: its images are others than when it joined this run; give it the earlier "
                "ones back, or start a new run"
            )
        elif site.input_shape != list(input_shape):
            refused[site.name] = (
                f"site {site.name}: its images are {site.input_shape}, INPUT_SHAPE and INPUT_DIM are "
                f"{list(input_shape)}; prepare them so"
            )
        elif site.classes != list(class_names):
            refused[site.name] = (
                f"site {site.name}: its classes are {_listed(site.classes)}, those of the run "
                f"{_listed(class_names)}; set CLASS_NAMES there when preparing, or for the run"
            )
        elif not (sum(site.train) and sum(site.val)):
            refused[site.name] = f"site {site.name}: no images for training or none for validation"
    return {name: site for name, site in sorted(found.items()) if name not in refused}, [*refused.values()]


def _listed(class_names: Sequence[str]) -> str:
    shown = [f"{label} {name}" for label, name in enumerate(class_names[:MOST_SHOWN])]
    return ", ".join(shown) + (", …" if len(class_names) > MOST_SHOWN else "")

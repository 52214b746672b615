"""Sites: clients whose images stay on their own machines, and which of them can take part."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from helpers.federated.messages import Message, MessageError

Counts = list[int]
"""Number of images of each class."""
MOST_IMAGES = 1 << 31
SITE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
"""Allowed values of the setting SITE: the name goes into queues, tables and pages."""
LONGEST_CLASS_NAME = 100  # letters
MOST_CLASSES = 1000
MOST_SHOWN = 12
DIGEST = re.compile(r"[0-9a-f]{64}")
SPLITS = ("train", "val", "test")
EACH_SITE = "each site"
"""Value of `split_by` if each site split its own images."""


@dataclass(frozen=True)
class Site(Message):
    """Description of a site, sent with its workers' heartbeats.

    Attributes:
        name: DT_SITE.
        data_digest: sha256 of the manifest of its preprocessed data.
        input_shape: height, width (pixels) and channels of its images.
        classes: names of their classes, in order of the labels.
        train, val, test: number of images of each class.
        patients: number of patients in train, val and test; empty if they are unknown.
    """

    name: str
    data_digest: str
    input_shape: list[int]
    classes: list[str]
    train: Counts
    val: Counts
    test: Counts
    patients: Counts = field(default_factory=list)

    @classmethod
    def from_message(cls, data: Any) -> Self:
        site = super().from_message({"patients": [], **data} if isinstance(data, dict) else data)
        for value, kind in ((site.name, SITE_NAME), (site.data_digest, DIGEST)):
            if not isinstance(value, str) or not kind.fullmatch(value):
                raise MessageError(f"Site: {value!r} is not a name or digest")
        names = site.classes
        is_list = isinstance(names, list) and 2 <= len(names) <= MOST_CLASSES
        if not is_list or not all(isinstance(name, str) and is_class_name(name) for name in names):
            raise MessageError(f"Site {site.name}: its classes are not a list of names")
        numbers = {"input_shape": 3, **dict.fromkeys(SPLITS, len(names))}
        numbers["patients"] = len(SPLITS) if site.patients else 0
        for counts, number in ((getattr(site, name), number) for name, number in numbers.items()):
            whole = isinstance(counts, list) and all(type(n) is int and 0 <= n < MOST_IMAGES for n in counts)
            if not whole or len(counts) != number:
                raise MessageError(f"Site {site.name}: {counts!r} are not {number} counts")
        return site


def described(sites: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what run.json records of the sites' images: counts by split and class, of each and of all.

    Args:
        sites: Site messages of the run, by id.
    """

    def by_label(counts: Sequence[int]) -> dict[str, int]:
        return {str(label): count for label, count in enumerate(counts)}

    counts = {split: [site[split] for site in sites] for split in SPLITS}
    patients = [site.get("patients") or [] for site in sites]
    are_known = bool(patients) and all(patients)
    summed = [sum(of_split) for of_split in zip(*patients, strict=True)] if are_known else []
    return {
        "source": "each site's own images",
        "split_by": EACH_SITE,
        "counts": {
            split: by_label([sum(of_class) for of_class in zip(*of_split, strict=True)])
            for split, of_split in counts.items()
        },
        "patients": dict(zip(SPLITS, summed, strict=True)) if are_known else None,
        "sites": [
            {
                "name": site.get("name"),
                "data_digest": site.get("data_digest"),
                "counts": {split: by_label(site[split]) for split in SPLITS},
                "patients": dict(zip(SPLITS, of_site, strict=True)) if of_site else None,
            }
            for site, of_site in zip(sites, patients, strict=True)
        ],
    }


def is_class_name(name: str) -> bool:
    """Return whether a table can show the name: 1 to LONGEST_CLASS_NAME printable characters."""
    return name.isprintable() and 0 < len(name) <= LONGEST_CLASS_NAME


def usable_sites(
    shown: Mapping[str, Any],
    known: Sequence[Site],
    input_shape: tuple[int, int, int],
    class_names: Sequence[str],
) -> tuple[dict[str, Site], list[str]]:
    """Return the live sites that can take part, by name, and a sentence for each that cannot.

    Args:
        shown: the Site message of each live worker, by the worker's name; None for a worker without a site.
        known: the sites of the run so far; their images must still be the same.
        input_shape: INPUT_SHAPE and INPUT_DIM.
        class_names: of the run.
    """
    sites: dict[str, Site] = {}
    refused: dict[str, str] = {}
    before = {site.name: site.data_digest for site in known}
    for worker, message in sorted(shown.items()):
        if message is None:
            continue
        try:
            site = Site.from_message(message)
        except MessageError as error:
            refused[worker] = f"worker {worker}: its site cannot be read: {error}"
            continue
        if sites.setdefault(site.name, site) != site:
            refused[site.name] = f"site {site.name}: its workers have different images"
        elif before.get(site.name, site.data_digest) != site.data_digest:
            refused[site.name] = (
                f"site {site.name}: its images have changed since it joined this run; restore them, or start "
                "a new run"
            )
        elif site.input_shape != list(input_shape):
            refused[site.name] = (
                f"site {site.name}: its images are {site.input_shape}, INPUT_SHAPE and INPUT_DIM are "
                f"{list(input_shape)}; prepare them at that shape"
            )
        elif site.classes != list(class_names):
            refused[site.name] = (
                f"site {site.name}: its classes are {_listed(site.classes)}, those of the run "
                f"{_listed(class_names)}; set CLASS_NAMES there when preparing, or for the run"
            )
        elif not (sum(site.train) and sum(site.val)):
            refused[site.name] = f"site {site.name}: it has no images for training or for validation"
    return {name: site for name, site in sorted(sites.items()) if name not in refused}, [*refused.values()]


def _listed(class_names: Sequence[str]) -> str:
    shown = [f"{label} {name}" for label, name in enumerate(class_names[:MOST_SHOWN])]
    return ", ".join(shown) + (", …" if len(class_names) > MOST_SHOWN else "")

"""Runs of a publication's settings."""

from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from studies.cases import Case
from studies.leftovers import alone_in
from studies.numbers_page import Row, write_rows
from studies.outcomes import Outcome
from studies.published_images import LabeledImages, Partition, PublishedImages
from studies.runs import Study

ROOT = Path(__file__).resolve().parents[1]
SEED = 1


@dataclass(frozen=True)
class Publication:
    """What a study repeats.

    Attributes:
        name: of the study's module, and of its section on the page.
        read: returns the images.
        partitions: by column of the manifest, how training images are partitioned among clients.
        network: function of `studies.published_networks`.
        common: options of every training.
        cases: the trainings.
        to_rows: makes the rows of the page from the outcomes so far, by name of the case.
    """

    name: str
    read: Callable[[], LabeledImages]
    partitions: Mapping[str, Partition]
    network: str
    common: tuple[str, ...]
    cases: Sequence[Case]
    to_rows: Callable[[Mapping[str, Outcome]], list[Row]]


def run_publication(publication: Publication, options: Namespace) -> Path:
    """Train what is missing, and write rows and page after each training; return the page."""
    name, report = publication.name, partial(print, flush=True)
    out = options.out or ROOT / f"studies/results/{name}-{options.rounds}-rounds"
    images = PublishedImages(publication.read, publication.partitions, out / name, out / "prepared", report)
    network = f"studies.published_networks:{publication.network}"
    common = (*publication.common, "--architecture", network, "--own-architectures", network)
    common += ("--input-dim", "1", "--augmentation", "none", "--evaluation-batch-size", "500")
    study = Study(out, images, options.rounds, report, common, {"DT_OWN_ARCHITECTURES": network})
    command = f"python -m studies.{name} --rounds {options.rounds}"
    outcomes: dict[str, Outcome] = {}
    with alone_in(study.folder):
        study.expect(len(publication.cases))
        for case in publication.cases:
            study.run_cases(SEED, [case])
            outcomes[case.name] = study.outcome(SEED, case)
            commits = sorted({one.files.facts["git"]["commit"][:10] for one in outcomes.values()})
            write_rows(options.page, name, publication.to_rows(outcomes), command, ", ".join(commits))
    return options.page

"""The study from its runs to its page."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.machine import describe
from studies.cases import (
    COMMON,
    LIES,
    TUNED,
    Case,
    algorithm_cases,
    honest,
    liar_cases,
    local_cases,
    partition_cases,
    pooled,
    update_cases,
)
from studies.outcomes import Outcome, best_by_validation, hardest
from studies.page import Section, facts, write_page
from studies.runs import Study
from studies.sections import (
    algorithm_section,
    liar_section,
    partition_section,
    update_section,
)
from studies.tables import counts_table


def run_study(
    study: Study,
    seeds: Sequence[int],
    page: Path,
    level: float,
    command: str,
    *,
    liars: bool = True,
    few: bool = False,
) -> None:
    """Train the missing runs and write the page.

    Args:
        study: of the runs.
        seeds: of the splits and the runs.
        page: file to write.
        level: validation ROC-AUC to be reached.
        command: repeats the study.
        liars: include the runs with malicious clients and their section.
        few: include only some of the algorithms and rules.

    Raises:
        UserError, ClusterError, CommandFailed: a run failed. No page is written.
    """
    sites = {seed: study.images.sites(seed) for seed in seeds}
    study.expect(
        sum(len(first_cases(each, liars) + later_cases(each, 0, liars, few)) for each in sites.values())
    )
    for seed in seeds:
        study.run_cases(seed, first_cases(sites[seed], liars))
    partitions = {case.name: _outcomes(study, seeds, case) for case in partition_cases(1)}
    hard = list(partitions).index(hardest(partitions, partitions))
    for seed in seeds:
        study.run_cases(seed, later_cases(sites[seed], hard, liars, few))
    sections = _sections(study, seeds, hard, level, liars, few)
    shown = [
        one for section in sections for cases in section.panels.values() for ones in cases for one in ones
    ]
    height, width = study.images.input_shape
    settings = {
        "images": f"{study.images.name}, {height}×{width} pixels",
        "seeds": ", ".join(map(str, seeds)),
        "rounds": str(study.rounds),
        "common options": f"`{' '.join(COMMON)}`",
    }
    head = [
        "# Federated learning: results",
        f"Made by `python -m studies.federated`. Only {page.stem}-conclusions.md is written by hand.",
        facts(command, describe(command.split()), shown, settings),
        counts_table({seed: study.images.prepared(seed).manifest for seed in seeds}),
        f"**What was tuned.** {TUNED}",
    ]
    write_page(page, head, sections, _options(sites[seeds[0]], hard, liars, few), level)


def first_cases(sites: Sequence[str], liars: bool) -> list[Case]:
    """Return the cases that have to finish before the hardest partition is known."""
    return [pooled(), *local_cases(sites), *partition_cases(len(sites)), *([honest()] if liars else [])]


def later_cases(sites: Sequence[str], hard: int, liars: bool, few: bool) -> list[Case]:
    """Return the other cases; `hard` is the index of the hardest partition in `partition_cases`."""
    algorithms, lying = algorithm_cases(partition_cases(len(sites))[hard]), liar_cases()
    smaller = update_cases(len(sites))
    if few:
        algorithms, smaller = algorithms[:1], smaller[:1]
        lying = [case for case in lying if case.name.endswith("-median")]
    return [*algorithms, *smaller, *(lying if liars else [])]


def _outcomes(study: Study, seeds: Sequence[int], case: Case) -> list[Outcome]:
    """Return the outcomes of a case, one for each seed."""
    return [study.outcome(seed, case) for seed in seeds]


def _options(sites: Sequence[str], hard: int, liars: bool, few: bool) -> dict[str, Sequence[str]]:
    """Return the options of every case, by title."""
    lies = {lie: f" ({said})" for lie, said in LIES.items()}
    cases = [*first_cases(sites, liars), *later_cases(sites, hard, liars, few)]
    return {case.title + lies.get(case.lie, ""): case.options for case in cases}


def _sections(
    study: Study, seeds: Sequence[int], hard: int, level: float, liars: bool, few: bool
) -> list[Section]:
    local = [
        best_by_validation(study.outcome(seed, case) for case in local_cases(study.images.sites(seed)))
        for seed in seeds
    ]
    reference = _outcomes(study, seeds, pooled())
    federated = [_outcomes(study, seeds, case) for case in partition_cases(1)]
    later = {case: _outcomes(study, seeds, case) for case in later_cases((), hard, liars, few)}
    updates = update_cases(0)
    smaller = [ones for case, ones in later.items() if case in updates]
    others = [ones for case, ones in later.items() if not case.lie and case not in updates]
    by_lie = {lie: [ones for case, ones in later.items() if case.lie == lie] for lie in LIES}
    sections = [
        partition_section(reference, local, federated, level),
        algorithm_section(federated[hard], others, reference, level),
        update_section(federated[0], smaller, level),
    ]
    if liars:
        sections.append(liar_section(_outcomes(study, seeds, honest()), by_lie, level))
    return sections

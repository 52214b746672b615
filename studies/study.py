"""The study from its runs to its page."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import describe
from studies.cases import (
    ALGORITHMS,
    COMMON,
    LIES,
    TUNED,
    Case,
    honest,
    liar_cases,
    local_cases,
    partition_cases,
    pooled,
    update_cases,
)
from studies.outcomes import Outcome, best_by_validation, best_case, hardest
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
    parts = Parts(liars, few)
    study.expect(parts.count(sites.values()))
    for seed in seeds:
        study.run_cases(seed, parts.first(sites[seed]))
    partitions = {case.name: _outcomes(study, seeds, case) for case in partition_cases(1)}
    hard = list(partitions).index(hardest(partitions, partitions))
    tried = parts.candidates(partition_cases(len(sites[seeds[0]]))[hard])
    study.run_cases(seeds[0], [case for each in tried for case in each])
    tuned = [best_case(each, lambda case: study.outcome(seeds[0], case)) for each in tried]
    for seed in seeds:
        study.run_cases(seed, [*tuned, *parts.later(sites[seed])])
    sections = _sections(study, seeds, parts, hard, tuned, level)
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
    options = {
        case.title + LIES_TOLD.get(case.lie, ""): case.options
        for case in (*parts.first(sites[seeds[0]]), *tuned, *parts.later(sites[seeds[0]]))
    }
    write_page(page, head, sections, options, level)


LIES_TOLD = {lie: f" ({said})" for lie, said in LIES.items()}


@dataclass(frozen=True)
class Parts:
    """Which parts of the study are run.

    Attributes:
        liars: whether those with malicious clients are.
        few: whether only some of the algorithms and rules are.
    """

    liars: bool
    few: bool

    def first(self, sites: Sequence[str]) -> list[Case]:
        """Return the cases that have to finish before the hardest partition is known."""
        reference = [honest()] if self.liars else []
        return [pooled(), *local_cases(sites), *partition_cases(len(sites)), *reference]

    def candidates(self, hard: Case) -> list[list[Case]]:
        """Return for each algorithm the cases from which validation chooses, under a partition."""
        return [each.candidates(hard) for each in (ALGORITHMS[:1] if self.few else ALGORITHMS)]

    def later(self, sites: Sequence[str]) -> list[Case]:
        """Return the cases after the tuned ones."""
        smaller, lying = update_cases(len(sites)), liar_cases() if self.liars else []
        if self.few:
            smaller, lying = smaller[:1], [case for case in lying if case.name.endswith("-median")]
        return [*smaller, *lying]

    def count(self, sites: Collection[Sequence[str]]) -> int:
        """Return the number of trainings for the sites of each seed; finished ones are counted again."""
        tried = self.candidates(partition_cases(1)[0])
        of_seeds = sum(len(self.first(each)) + len(tried) + len(self.later(each)) for each in sites)
        return of_seeds + sum(map(len, tried))


def _outcomes(study: Study, seeds: Sequence[int], case: Case) -> list[Outcome]:
    """Return the outcomes of a case, one for each seed."""
    return [study.outcome(seed, case) for seed in seeds]


def _sections(
    study: Study, seeds: Sequence[int], parts: Parts, hard: int, tuned: Sequence[Case], level: float
) -> list[Section]:
    sites = {seed: study.images.sites(seed) for seed in seeds}
    alone = {
        seed: {case.title: study.outcome(seed, case) for case in local_cases(sites[seed])} for seed in seeds
    }
    best = [best_by_validation(alone[seed].values()) for seed in seeds]
    everywhere = [title for title in alone[seeds[0]] if all(title in each for each in alone.values())]
    each_alone = [[alone[seed][title] for seed in seeds] for title in everywhere]
    reference = _outcomes(study, seeds, pooled())
    federated = [_outcomes(study, seeds, case) for case in partition_cases(1)]
    later = {case: _outcomes(study, seeds, case) for case in parts.later(())}
    smaller = [ones for case, ones in later.items() if not case.lie]
    by_lie = {lie: [ones for case, ones in later.items() if case.lie == lie] for lie in LIES}
    algorithms = [_outcomes(study, seeds, case) for case in tuned]
    sections = [
        partition_section(reference, best, each_alone, federated, level),
        algorithm_section(federated[hard], algorithms, reference, level),
        update_section(federated[0], smaller, level),
    ]
    if parts.liars:
        sections.append(liar_section(_outcomes(study, seeds, honest()), by_lie, level))
    return sections

"""The sections of docs/results.md: a question and the cases that answer it."""

from collections.abc import Mapping, Sequence

from studies.cases import LIES, NUM_CLIENTS, NUM_MALICIOUS
from studies.lies import LENGTH
from studies.outcomes import Outcome
from studies.page import Section
from studies.tables import aim_sentence, differences_table, results_table, shares_table

Cases = Sequence[Sequence[Outcome]]
HOW_TO_READ = (
    "Test AUC: the model of the best round by validation is tested once; the 95 % interval counts "
    "patients. An AUC on about a hundred validation images is uncertain by ± .12, so the first round to "
    "reach a level is partly chance. Seconds per round are medians. MB per round are what clients read and "
    "wrote. Differences: paired, by patient; for the mean over seeds, the limits are averaged. "
    "These intervals cover the choice of patients; the spread of the seeds shows the "
    "rest. In pictures the line is the mean over seeds and the band spans the seeds."
)


def partition_section(
    pooled: Sequence[Outcome],
    local: Sequence[Outcome],
    each_alone: Cases,
    federated: Cases,
    level: float,
) -> Section:
    """Return the section on pooled training, clients alone and FedAvg under three partitions.

    Args:
        pooled, federated: of these trainings.
        local: of the best client alone.
        each_alone: of every client alone.
        level: validation ROC-AUC to be reached.
    """
    chosen = ", ".join(f"seed {one.seed}: {one.files.sites[_client(one)]}" for one in local)
    cases = [pooled, local, *federated]
    return Section(
        "partitions",
        "What does federation cost, and what does it bring?",
        [
            HOW_TO_READ,
            f"Best client alone, by validation among the sites: {chosen}. A client alone has fewer images "
            "per round. In the pooled and the single-client runs one worker trains and the others wait.",
            results_table([pooled, local, *each_alone, *federated], level),
            differences_table([local, *each_alone, *federated], pooled),
            "\n".join(aim_sentence(ones, pooled) for ones in federated),
            "Training images (cancers) of every client:",
            *(shares_table(ones) for ones in federated),
        ],
        {"": cases},
    )


def algorithm_section(
    fedavg: Sequence[Outcome], others: Cases, pooled: Sequence[Outcome], level: float
) -> Section:
    """Return the section on other algorithms under the partition that is hardest for FedAvg."""
    return Section(
        "algorithms",
        "Does another algorithm help where clients differ most?",
        [
            "The partition with the lowest validation AUC of FedAvg, mean over seeds: "
            f"**{fedavg[0].title}**. Each algorithm has the value that validation of the first seed chose of "
            "three; FedAvg too, next to the recipe's own. SCAFFOLD and FedNova need SGD without momentum, "
            "so FedAvg with it is included. In SCAFFOLD all clients have the same weight, whatever their "
            "number of images.",
            results_table([fedavg, *others], level),
            differences_table(others, fedavg),
            differences_table(others, pooled),
        ],
        {"": [pooled, fedavg, *others]},
    )


def update_section(whole: Sequence[Outcome], smaller: Cases, level: float) -> Section:
    """Return the section on smaller updates."""
    return Section(
        "updates",
        "What do smaller updates cost?",
        [
            f"**{whole[0].title}** with `UPDATE_DTYPE`: clients send the change of their weights as float16, "
            "or as int8 with error feedback, instead of float32 weights. MB per round count everything that "
            "clients read and write: updates, global weights and, with int8, the error feedback.",
            results_table([whole, *smaller], level),
            differences_table(smaller, whole),
        ],
        {"": [whole, *smaller]},
    )


def liar_section(honest: Sequence[Outcome], by_lie: Mapping[str, Cases], level: float) -> Section:
    """Return the section on two malicious clients against each rule."""
    titled = {LIES[lie]: [honest, *cases] for lie, cases in by_lie.items()}
    parts = [
        f"The partition is iid. {NUM_MALICIOUS} malicious clients attack in one of two ways: they train on "
        f"flipped labels, or they send Gaussian noise {LENGTH:g} times as long as their change, array by "
        f"array. Krum and multi-Krum need 2 · {NUM_MALICIOUS} + 3 = {2 * NUM_MALICIOUS + 3} clients for "
        f"{NUM_MALICIOUS} malicious ones, so multi-Krum has {NUM_CLIENTS + 1} clients and the other rules "
        f"{NUM_CLIENTS}. Its share of malicious clients is smaller.",
    ]
    for title, cases in titled.items():
        parts += [f"### Attack: {title}", results_table(cases, level), differences_table(cases[1:], honest)]
    return Section("liars", "Which rule withstands malicious clients?", parts, titled)


def _client(one: Outcome) -> int:
    return int(one.files.settings["CLIENTS"][0])

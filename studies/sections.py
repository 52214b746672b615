"""The sections of docs/results.md: which cases answer which question."""

from collections.abc import Mapping, Sequence

from studies.cases import LIES, NUM_CLIENTS, NUM_MALICIOUS
from studies.lies import LENGTH
from studies.outcomes import Outcome
from studies.page import Section
from studies.tables import aim_sentence, differences_table, results_table, shares_table

Cases = Sequence[Sequence[Outcome]]
HOW_TO_READ = (
    "Test AUC: of the model of the best round by validation, once, with a 95 % interval from a bootstrap "
    "over patients. An AUC on some hundred validation images is known to ± .12, so which round is the "
    "first to reach a level is partly luck. Seconds of a round are medians, its MB are what clients read "
    "and wrote. Differences: paired bootstrap over patients; for the mean over seeds patients of all tests "
    "are drawn together. These intervals tell what other patients would do; how far seeds differ tells the "
    "rest. In pictures the line is the mean over seeds, the band reaches from the lowest seed to the highest."
)


def partition_section(
    pooled: Sequence[Outcome], local: Sequence[Outcome], federated: Cases, level: float
) -> Section:
    """Pooled, the best client alone, and FedAvg under three divisions."""
    chosen = ", ".join(f"seed {one.seed}: {one.files.sites[_client(one)]}" for one in local)
    cases = [pooled, local, *federated]
    return Section(
        "partitions",
        "What does federation cost, and what does it bring?",
        [
            HOW_TO_READ,
            f"Best client alone, by validation among the sites: {chosen}. A client alone has fewer images a "
            "round, and pooled as well as alone one worker trains while the others wait.",
            results_table(cases, level),
            differences_table([local, *federated], pooled),
            "\n".join(aim_sentence(ones, pooled) for ones in federated),
            "Training images (cancers) of every client:",
            *(shares_table(ones) for ones in federated),
        ],
        {"": cases},
    )


def algorithm_section(
    fedavg: Sequence[Outcome], others: Cases, pooled: Sequence[Outcome], level: float
) -> Section:
    """Other algorithms under the division that is hardest for FedAvg."""
    return Section(
        "algorithms",
        "Does another algorithm help where clients differ most?",
        [
            "Under the division with the lowest validation AUC of FedAvg, mean over seeds: "
            f"**{fedavg[0].title}**. SCAFFOLD needs plain SGD, so FedAvg with the same "
            "stands beside it; in SCAFFOLD all clients count alike, however few images they have.",
            results_table([fedavg, *others], level),
            differences_table(others, fedavg),
            differences_table(others, pooled),
        ],
        {"": [pooled, fedavg, *others]},
    )


def update_section(whole: Sequence[Outcome], smaller: Cases, level: float) -> Section:
    """Updates of fewer bytes against whole weights."""
    return Section(
        "updates",
        "What do smaller updates cost?",
        [
            f"**{whole[0].title}** with `UPDATE_DTYPE`: clients send the change of their weights as float16, "
            "or as int8 with error feedback, in place of float32 weights. MB a round are all that clients "
            "read and write: the global weights too, and with int8 what they remember.",
            results_table([whole, *smaller], level),
            differences_table(smaller, whole),
        ],
        {"": [whole, *smaller]},
    )


def liar_section(honest: Sequence[Outcome], by_lie: Mapping[str, Cases], level: float) -> Section:
    """Two liars against each rule."""
    titled = {LIES[lie]: [honest, *cases] for lie, cases in by_lie.items()}
    parts = [
        f"Images divided by lot. Two kinds of lies of {NUM_MALICIOUS} clients: they train on labels that are "
        f"all flipped; or they send, in place of what they learned, Gaussian noise {LENGTH:g} times as long "
        f"as their change, array by array. Krum and multi-Krum are defined for {NUM_MALICIOUS} liars from "
        f"2 · {NUM_MALICIOUS} + 3 = {2 * NUM_MALICIOUS + 3} clients on, so multi-Krum has {NUM_CLIENTS + 1} "
        f"clients, the other rules {NUM_CLIENTS}: its liars are a smaller part.",
    ]
    for title, cases in titled.items():
        parts += [f"### Lie: {title}", results_table(cases, level), differences_table(cases[1:], honest)]
    return Section("liars", "Which rule holds out against liars?", parts, titled)


def _client(one: Outcome) -> int:
    return int(one.files.settings["CLIENTS"][0])

"""Strategies and accountants where the answer is known from their papers, without images: docs/numbers.md."""

import math
from collections.abc import Callable, Sequence

import dp_accounting
import numpy as np
from numpy.typing import NDArray

from helpers.federated.strategies import STRATEGIES, Strategy
from helpers.federated.strategies.base import ServerInputs, Update
from helpers.federated.weights import Weights, schema_of
from helpers.global_config import Config
from helpers.privacy import accountant
from studies.numbers_page import Row

Floats = NDArray[np.float64]

MNIST = 60_000
DELTA = 1e-5
PUBLISHED_EPSILON = {
    "Abadi et al. 2016, section 5.2": (4.0, 0.01, 10_000, 1.26),
    "README of TensorFlow Privacy, 15 epochs": (1.3, 256 / MNIST, 15 * MNIST // 256, 1.19),
    "README of TensorFlow Privacy, 60 epochs": (1.1, 256 / MNIST, 60 * MNIST // 256, 3.01),
    "README of TensorFlow Privacy, 45 epochs": (0.7, 256 / MNIST, 45 * MNIST // 256, 7.10),
}
"""Noise multiplier, sampling rate, steps and the published ε at δ = 1e-5."""
OPTIMA = np.array([[1.0, 0.0], [-3.0, 2.0]])
STEPS = (2, 10)
"""Optima and local steps of the two quadratic clients."""
NUM_CLIENTS = 11
FAR = 1e6
"""Where lying clients send the model."""


def make(name: str, **settings: object) -> Strategy:
    """Return a strategy with default settings, apart from those named."""
    return STRATEGIES[name]({**dict(Config()), "STRATEGY": name, **settings})


def next_weights(strategy: Strategy, updates: Sequence[Update], before: Floats) -> Floats:
    """Return the global weights, a vector, after a round of these updates."""
    weights: Weights = [before]
    server = ServerInputs(
        schema=schema_of(["kernel"], weights), trainable=(True,), num_clients=len(updates),
        num_participants=len(updates), read_global_weights=lambda: weights, read_state=lambda: [],
    )  # fmt: skip
    return np.asarray(strategy.aggregate(updates, server)[0][0], np.float64)


# Differential privacy


def by_mironov(noise: float, rate: float, steps: int, delta: float) -> float:
    """Return ε from the accountant's Rényi divergences by the conversion of Mironov 2017, proposition 3."""
    rdp = dp_accounting.rdp.RdpAccountant(accountant.ORDERS)
    rdp.compose(accountant._event(noise, rate, steps))
    return min(
        divergence + math.log(1 / delta) / (order - 1)
        for order, divergence in zip(rdp._orders, rdp._rdp, strict=True)
        if order > 1
    )


def privacy_rows() -> list[Row]:
    """Return ε by the conversion of the publications, and by the tighter one of this project."""
    rows = []
    for source, (noise, rate, steps, published) in PUBLISHED_EPSILON.items():
        ours = accountant.epsilon(noise, rate, steps, DELTA)
        same = by_mironov(noise, rate, steps, DELTA)
        what = f"ε at δ = 10⁻⁵: {source} (noise {noise:g}, rate {rate:.4f}, {steps:,} steps)"
        rows.append(Row(what, f"{published:.2f}", f"{same:.3f}; by a tighter conversion {ours:.3f}"))
    return rows


# FedNova


def ends(strategy: Strategy, rate: float) -> Floats:
    """Return where two clients end that take exact gradient steps on ½‖x − optimum‖²."""
    weights = np.zeros(2)
    for _ in range(int(10 / rate)):
        updates = [
            Update([optimum + (1 - rate) ** steps * (weights - optimum)], 1, steps, 1)
            for optimum, steps in zip(OPTIMA, STEPS, strict=True)
        ]
        weights = next_weights(strategy, updates, weights)
    return weights


def nova_rows(rate: float = 0.001) -> list[Row]:
    """Return how far FedAvg and FedNova end from their closed forms and from the optimum."""
    pulls = 1 - (1 - rate) ** np.array(STEPS)
    even = pulls / np.array(STEPS)
    optimum = OPTIMA.mean(axis=0)
    rows = []
    for name, title, shares, published in (
        ("fedavg", "FedAvg", pulls, "a point off the optimum (Lemma 1), as η → 0 weighted by the steps"),
        ("fednova", "FedNova", even, "the optimum, as η → 0"),
    ):
        end = ends(make(name, OPTIMIZER="sgd"), rate)
        from_form = np.abs(end - shares @ OPTIMA / shares.sum()).max()
        away = np.linalg.norm(end - optimum)
        what = f"{title}: limit of two quadratic clients with {STEPS[0]} and {STEPS[1]} steps, η = {rate:g}"
        rows.append(
            Row(what, published, f"{away:.4f} off the optimum; within {from_form:.0e} of the closed form")
        )
    return rows


# Robust rules


def error_of(strategy: Strategy, num_lying: int) -> float:
    """Return how far a rule ends from the honest mean if malicious clients send the same far point."""
    honest = np.random.default_rng(num_lying).standard_normal((NUM_CLIENTS - num_lying, 10))
    sent = [*([np.full(10, FAR)] * num_lying), *honest]
    end = next_weights(strategy, [Update([each], 1, 1, 1) for each in sent], np.zeros(10))
    return float(np.linalg.norm(end - honest.mean(axis=0)))


def most_tolerated(rule: Callable[[int], Strategy]) -> tuple[int, str]:
    """Return the largest number of malicious clients that a rule tolerates, and what ends it.

    Args:
        rule: returns the strategy that is set for a number of malicious clients.
    """
    for num_lying in range(NUM_CLIENTS):
        strategy = rule(num_lying)
        if reason := strategy.shortage(NUM_CLIENTS) if num_lying else "":
            return num_lying - 1, f"more are refused: {reason.partition(':')[0]}"
        if error_of(strategy, num_lying) > math.sqrt(10 * NUM_CLIENTS):
            return num_lying - 1, "one more moves it as far as they like"
    raise AssertionError("a rule cannot tolerate clients that are all malicious")


def robust_rows() -> list[Row]:
    """Return the breakdown points of the mean, Krum, trimmed mean and median."""
    rules: dict[str, tuple[str, Callable[[int], Strategy]]] = {
        "mean (FedAvg)": ("0", lambda _: make("fedavg")),
        "Krum": ("2f + 2 < n: 4 (Blanchard et al. 2017)", lambda f: make("krum", NUM_MALICIOUS=max(1, f))),
        "trimmed mean, β = .3": (
            "⌊βn⌋ = 3 (Yin et al. 2018)",
            lambda _: make("trimmed_mean", TRIM_FRACTION=0.3),
        ),
        "median": ("f < n/2: 5 (Yin et al. 2018)", lambda _: make("median")),
    }
    rows = []
    for title, (published, rule) in rules.items():
        most, why = most_tolerated(rule)
        what = f"{title}: malicious clients of {NUM_CLIENTS} that it tolerates"
        rows.append(Row(what, published, f"{most}; {why}"))
    return rows


# FedProx

NUM_DEVICES, NUM_FEATURES, NUM_CLASSES = 30, 60, 10
CHOSEN, LOCAL_EPOCHS, BATCH, RATE, ROUNDS = 10, 20, 10, 0.01, 20
STRAGGLERS = 0.9


def synthetic(generator: np.random.Generator) -> list[tuple[Floats, NDArray[np.int64]]]:
    """Return the images of each device of synthetic(1,1) (Li et al. 2020, section 5.1)."""
    scales = np.arange(1, NUM_FEATURES + 1) ** -0.6  # standard deviations: variances are j^-1.2
    devices = []
    for size in generator.lognormal(4, 2, NUM_DEVICES).astype(int) + 50:
        shift, center = generator.standard_normal(2)
        model = generator.normal(shift, 1, (NUM_FEATURES, NUM_CLASSES))
        bias = generator.normal(shift, 1, NUM_CLASSES)
        inputs = generator.normal(generator.normal(center, 1, NUM_FEATURES), scales, (size, NUM_FEATURES))
        devices.append((inputs, (inputs @ model + bias).argmax(axis=1)))
    return devices


def descend(
    weights: Floats, inputs: Floats, labels: NDArray[np.int64], epochs: int, mu: float,
    generator: np.random.Generator,
) -> tuple[Floats, int]:  # fmt: skip
    """Return the weights (61, 10) after epochs of SGD on a logistic regression with FedProx' term, and the
    number of steps.
    """
    began, weights, steps = weights, weights.copy(), 0
    wide = np.column_stack([inputs, np.ones(len(inputs))])
    for _ in range(epochs):
        order = generator.permutation(len(wide))
        for start in range(0, len(wide), BATCH):
            rows = order[start : start + BATCH]
            scores = softmax(wide[rows] @ weights)
            scores[np.arange(len(rows)), labels[rows]] -= 1
            weights -= RATE * (wide[rows].T @ scores / len(rows) + mu * (weights - began))
            steps += 1
    return weights, steps


def softmax(values: Floats) -> Floats:
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def straggling(name: str, mu: float, seed: int) -> float:
    """Return the test accuracy after ROUNDS rounds with stragglers, which FedAvg drops."""
    generator = np.random.default_rng(seed)
    data = [
        (
            inputs[: -len(inputs) // 5],
            labels[: -len(labels) // 5],
            inputs[-len(inputs) // 5 :],
            labels[-len(labels) // 5 :],
        )
        for inputs, labels in synthetic(generator)
    ]
    strategy = make(name, PROXIMAL_MU=mu)
    weights = np.zeros((NUM_FEATURES + 1, NUM_CLASSES))
    for _ in range(ROUNDS):
        updates = []
        for place, device in enumerate(generator.choice(NUM_DEVICES, CHOSEN, replace=False)):
            inputs, labels = data[device][:2]
            is_straggler = place < STRAGGLERS * CHOSEN
            epochs = int(generator.integers(1, LOCAL_EPOCHS + 1)) if is_straggler else LOCAL_EPOCHS
            if is_straggler and name == "fedavg":
                continue
            trained, steps = descend(weights, inputs, labels, epochs, strategy.proximal_mu, generator)
            updates.append(Update([trained], len(labels), steps, len(labels)))
        weights = next_weights(strategy, updates, weights)
    right = [
        ((np.column_stack([inputs, np.ones(len(inputs))]) @ weights).argmax(axis=1) == labels)
        for _, _, inputs, labels in data
    ]
    return float(np.concatenate(right).mean())


def prox_rows(seeds: Sequence[int] = (1, 2, 3)) -> list[Row]:
    """Return the accuracy of FedAvg and FedProx on synthetic(1,1) with 90 % stragglers."""
    rows = []
    for name, title, mu, published in (
        ("fedavg", "FedAvg, stragglers dropped", 0.0, ".25 to .48 in 20 rounds (a port)"),
        ("fedprox", "FedProx, μ = 0", 0.0, "above FedAvg (figure 1)"),
        ("fedprox", "FedProx, μ = 1", 1.0, ".47 to .86 in 20 rounds (a port)"),
    ):
        found = [straggling(name, mu, seed) for seed in seeds]
        what = f"synthetic(1,1), 90 % stragglers, test accuracy: {title}"
        rows.append(
            Row(
                what,
                published,
                f"after {ROUNDS} rounds, {len(seeds)} seeds: {', '.join(f'{each:.2f}' for each in found)}",
            )
        )
    return rows


def rows() -> list[Row]:
    """Return all rows; some seconds."""
    return [*prox_rows(), *nova_rows(), *robust_rows(), *privacy_rows()]

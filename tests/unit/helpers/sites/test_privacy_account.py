"""The account of privacy that a site keeps itself."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from helpers.federated.sites.messages import ScoreOrder, SiteTestOrder, SiteTrainOrder
from helpers.privacy.accountant import epsilon, total_epsilon
from helpers.sites.audit import AuditLog
from helpers.sites.policy import OrderRefused, Policy
from helpers.sites.privacy_account import FILE, PrivacyAccount

IMAGES, BATCH, NOISE, DELTA = 80, 16, 2.0, 1e-5
RATE, STEPS = BATCH / IMAGES, IMAGES // BATCH
PRIVATE = {"DP": "example", "DP_NOISE_MULTIPLIER": NOISE, "ARCHITECTURE": "seed_cnn_groupnorm", "EPOCHS": 3}
FACTS: dict[str, Any] = {"session": "s", "data_digest": "", "versions": {}, "attempt": 0, "site": "north"}


def training(run: str = "r", round_number: int = 1, attempt: int = 0, **settings: Any) -> SiteTrainOrder:
    own = {"clients": [0], "weights": {}, "sent_at": 0.0, "num_clients": 1, "client": 0}
    private = PRIVATE | {"TRAIN_BATCH_SIZE": BATCH} | settings
    facts = FACTS | {"attempt": attempt}
    return SiteTrainOrder(run=run, **facts, settings=private, round=round_number, **own)


def spent(trainings: int) -> float:
    return epsilon(NOISE, RATE, STEPS * trainings, DELTA)


@pytest.fixture
def account(tmp_path: Path) -> PrivacyAccount:
    return PrivacyAccount(tmp_path, Policy())


def test_trainings_of_all_runs_and_attempts_add_up(account: PrivacyAccount) -> None:
    assert account.spend(training(), IMAGES) == spent(1)
    assert account.spend(training(attempt=1), IMAGES) == spent(2)
    assert account.spend(training("other"), IMAGES) == spent(3)
    louder = training("louder", DP_NOISE_MULTIPLIER=1.0)
    both = [(NOISE, RATE, 3 * STEPS), (1.0, RATE, STEPS)]
    assert account.spend(louder, IMAGES) == pytest.approx(total_epsilon(both, DELTA))


def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    PrivacyAccount(tmp_path, Policy()).spend(training(), IMAGES)
    assert PrivacyAccount(tmp_path, Policy()).spend(training(), IMAGES) == spent(2)


def test_the_bound_holds_over_runs_and_restarts(tmp_path: Path) -> None:
    policy = Policy(max_epsilon=(spent(4) + spent(5)) / 2)
    for number in range(4):
        PrivacyAccount(tmp_path, policy).spend(training(f"run{number}"), IMAGES)
    reason = f"all runs would spend ε = {spent(5):.3g} at δ = 1e-05: site.toml has max_epsilon"
    for _ in range(3):  # what was refused has not been spent
        with pytest.raises(OrderRefused, match=reason):
            PrivacyAccount(tmp_path, policy).spend(training("more"), IMAGES)


def test_the_budget_of_a_run_holds_at_the_site(account: PrivacyAccount) -> None:
    budget = {"DP_NOISE_MULTIPLIER": 0.0, "DP_TARGET_EPSILON": 2.0}
    for number in (1, 2, 3):
        account.spend(training(round_number=number, **budget), IMAGES)
    with pytest.raises(OrderRefused, match=r"run r would spend ε = .*, more than DP_TARGET_EPSILON=2"):
        account.spend(training(round_number=3, attempt=1, **budget), IMAGES)


@pytest.mark.parametrize("round_number", [0, 4])
def test_a_round_that_the_run_does_not_have_is_refused(account: PrivacyAccount, round_number: int) -> None:
    with pytest.raises(OrderRefused, match=f"round {round_number} of a run with EPOCHS=3"):
        account.spend(training(round_number=round_number), IMAGES)


@pytest.mark.parametrize("other", [{"EPOCHS": 9}, {"DP_NOISE_MULTIPLIER": 0.5}, {"TRAIN_BATCH_SIZE": 8}])
def test_a_private_run_keeps_its_settings(account: PrivacyAccount, other: dict[str, Any]) -> None:
    account.spend(training(), IMAGES)
    with pytest.raises(OrderRefused, match="run r had other settings or images before"):
        account.spend(training(round_number=2, **other), IMAGES)


def test_with_a_bound_every_training_needs_noise(tmp_path: Path) -> None:
    account = PrivacyAccount(tmp_path, Policy(max_epsilon=8))
    facts = {**FACTS, "run": "r", "settings": {}, "round": 1, "client": 0, "split": "test", "weights": {}}
    tests = [SiteTestOrder(**facts, threshold=0.5, initial=initial) for initial in (None, {})]
    plain = training(DP="off", DP_NOISE_MULTIPLIER=0.0)
    for order in (plain, tests[1]):
        with pytest.raises(OrderRefused, match=r"DP=off: site\.toml has max_epsilon, which needs DP=example"):
            account.spend(order, IMAGES)
        assert PrivacyAccount(tmp_path, Policy()).spend(order, IMAGES) is None
    assert account.spend(tests[0], IMAGES) is None
    assert account.spend(ScoreOrder(**facts, threshold=0.5), IMAGES) is None


@pytest.mark.parametrize("damage", [b"", b"not a database", None])
def test_a_damaged_account_stops_private_trainings(tmp_path: Path, damage: bytes | None) -> None:
    PrivacyAccount(tmp_path, Policy()).spend(training(), IMAGES)
    AuditLog(tmp_path).append({"decision": "done", "epsilon": "1.000"})
    (tmp_path / FILE).unlink() if damage is None else (tmp_path / FILE).write_bytes(damage)
    for _ in range(2):
        with pytest.raises(
            OrderRefused, match=r"spent of their privacy is not known: .*privacy.sqlite cannot"
        ):
            PrivacyAccount(tmp_path, Policy()).spend(training(), IMAGES)


def test_a_start_that_was_killed_leaves_a_usable_account(tmp_path: Path) -> None:
    (tmp_path / FILE).touch()  # as SQLite leaves it before the table
    account = PrivacyAccount(tmp_path, Policy())
    assert account.spend(training(), IMAGES) == spent(1)
    assert account.spend(training(), IMAGES) == spent(2)


def test_workers_may_start_at_once(tmp_path: Path) -> None:
    def first_training(number: int) -> float | None:
        return PrivacyAccount(tmp_path / "sites/north", Policy()).spend(training(), IMAGES)

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(first_training, range(4))) == [spent(number) for number in (1, 2, 3, 4)]


def test_two_workers_never_spend_more_than_the_bound(tmp_path: Path) -> None:
    policy = Policy(max_epsilon=(spent(4) + spent(5)) / 2)
    workers = [PrivacyAccount(tmp_path, policy) for _ in range(3)]

    def spends(worker: PrivacyAccount) -> int:
        try:
            return 1 if worker.spend(training(), IMAGES) else 0
        except OrderRefused:
            return 0

    with ThreadPoolExecutor(3) as threads:
        assert sum(threads.map(spends, workers * 3)) == 4

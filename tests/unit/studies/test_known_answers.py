"""Published numbers: what the page says of the strategies and the accountant."""

import re

import numpy as np
import pytest

from studies import known_answers
from studies.known_answers import descend, nova_rows, privacy_rows, prox_rows, robust_rows
from studies.numbers_page import Row, write_rows


def test_fedavg_misses_the_optimum_and_fednova_does_not():
    fedavg, fednova = (row.ours for row in nova_rows(rate=0.01))
    assert float(fedavg.split()[0]) > 1
    assert float(fednova.split()[0]) < 0.1
    for ours in (fedavg, fednova):
        assert float(re.search(r"within (\S+) of", ours)[1]) < 1e-9


def test_every_rule_tolerates_as_many_malicious_clients_as_its_paper_says():
    assert [int(row.ours[0]) for row in robust_rows()] == [0, 4, 3, 5]


def test_epsilon_is_the_published_one():
    for row in privacy_rows():
        assert float(row.ours.split(";")[0]) == pytest.approx(float(row.published), abs=0.005)


def test_the_proximal_term_holds_a_client_near_its_start():
    generator = np.random.default_rng(1)
    inputs, labels = generator.standard_normal((40, 60)), generator.integers(0, 10, 40)
    start = np.zeros((61, 10))
    moved = [
        np.linalg.norm(descend(start, inputs, labels, 5, mu, np.random.default_rng(2))[0])
        for mu in (0, 1, 50)
    ]
    assert moved[0] > moved[1] > moved[2] > 0


def test_stragglers_are_dropped_by_fedavg_alone(monkeypatch):
    monkeypatch.setattr(known_answers, "ROUNDS", 1)
    monkeypatch.setattr(known_answers, "LOCAL_EPOCHS", 1)
    sent = []
    plain = known_answers.next_weights

    def counted(strategy, updates, before):
        sent.append(len(updates))
        return plain(strategy, updates, before)

    monkeypatch.setattr(known_answers, "next_weights", counted)
    assert len(prox_rows(seeds=[1])) == 3
    assert sent == [1, 10, 10]


def test_the_page_has_the_rows_of_every_study_and_says_what_is_not_measured(tmp_path):
    page = tmp_path / "numbers.md"
    write_rows(page, "known_answers", [Row("a", "1", "2")], "a command", "0123456789")
    write_rows(page, "niid_bench", [Row("b", "3", "4")], "another command", "0123456789")
    text = page.read_text()
    assert "| a | 1 | 2 | 0123456789 |" in text
    assert text.index("`a command`") < text.index("| a |") < text.index("`another command`")
    assert text.count("**Not measured yet.**") == 1

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preprocessing.errors import PreprocessingError
from preprocessing.prepare.audit import (
    audit_images,
    copies_to_join,
    count_findings,
    group_images,
    refuse_findings,
    write_audit,
)
from preprocessing.prepare.duplicates import Copy
from preprocessing.prepare.sources.records import ImageRecord

RECORDS = [
    ImageRecord("0/a.png", 0, "7", "train"),
    ImageRecord("0/b.png", 0, "7", "test"),
    ImageRecord("0/c.png", 0, "8", "train"),
    ImageRecord("1/d.png", 1, "9", "train"),
]
COPIES = [Copy(3, 0, True, "sha256 f"), Copy(2, 1, False, "correlation 0.990")]
LEAKS = [
    ("copy_in_two_splits", "0/c.png", "0/b.png", "in train and test; correlation 0.990"),
    ("patient_in_two_splits", "0/b.png", "0/a.png", "in test and train; patient 7"),
]
CONFLICT = ("label_conflict", "1/d.png", "0/a.png", "class 1 and 0; sha256 f")


def test_every_kind_is_listed_and_counted():
    findings = audit_images(RECORDS, COPIES)
    copies = [
        ("exact_duplicate", "1/d.png", "0/a.png", "sha256 f"),
        ("near_duplicate", "0/c.png", "0/b.png", "correlation 0.990"),
    ]
    assert findings == [copies[0], CONFLICT, copies[1], *LEAKS]
    assert count_findings(findings) == {
        "exact_duplicates": 1, "near_duplicates": 1, "label_conflicts": 1, "split_copies": 1,
        "split_patients": 1,
    }  # fmt: skip


def test_no_findings_without_copies_and_splits():
    records = [ImageRecord(f"0/{number}.png", 0, str(number // 2)) for number in range(6)]
    assert audit_images(records, []) == []
    refuse_findings([], allow=())
    assert set(count_findings([]).values()) == {0}


@pytest.mark.parametrize(
    ("allow", "expected", "unexpected"),
    [
        (
            (),
            [
                "leaks test or validation images into training, 2 times: 0/c.png and 0/b.png",
                "1 image is in two",
            ],
            [],
        ),
        (["leaks"], ["1/d.png and 0/a.png (class 1 and 0; sha256 f)", "--allow-label-conf"], ["-leaks"]),
        (["label_conflicts"], ["in test and train; patient 7", "--allow-leaks"], ["two classes"]),
    ],
)
def test_leaks_and_conflicts_are_refused_with_their_flag(allow, expected, unexpected):
    with pytest.raises(PreprocessingError) as caught:
        refuse_findings(audit_images(RECORDS, COPIES), allow)
    message = str(caught.value)
    assert all(words in message for words in expected)
    assert not any(words in message for words in unexpected)
    assert "\n" not in message


def test_the_flags_still_needed_are_added_to_the_command():
    with pytest.raises(PreprocessingError) as caught:
        refuse_findings(audit_images(RECORDS, COPIES), [], "python prepare.py --source x")
    assert str(caught.value).endswith("python prepare.py --source x --allow-leaks --allow-label-conflicts")


def test_both_flags_let_everything_pass():
    refuse_findings(audit_images(RECORDS, COPIES), allow=["leaks", "label_conflicts"])


def test_groups_are_united_over_patients_and_copies():
    records = [ImageRecord(f"0/{n}.png", 0, patient) for n, patient in enumerate("abcbde")]
    copies = [Copy(3, 0, True, ""), Copy(5, 4, False, "")]
    assert group_images(records, copies).tolist() == [0, 0, 1, 0, 2, 2]
    assert group_images(records, []).tolist() == [0, 1, 2, 1, 3, 4]
    alone = [ImageRecord("0/a.png", 0), ImageRecord("0/b.png", 0)]
    assert group_images(alone, []).tolist() == [0, 1]


@given(st.data())
def test_groups_are_the_connected_components(data):
    count = data.draw(st.integers(1, 30))
    places = st.integers(0, count - 1)
    patients = data.draw(st.lists(st.none() | st.sampled_from("abcdef"), min_size=count, max_size=count))
    pairs = data.draw(st.lists(st.tuples(places, places), max_size=20))
    records = [ImageRecord(f"0/{n}.png", 0, patient) for n, patient in enumerate(patients)]
    groups = group_images(records, [Copy(row, other, True, "") for row, other in pairs])
    linked = np.eye(count, dtype=bool)
    for row, other in pairs:
        linked[row, other] = linked[other, row] = True
    for row, patient in enumerate(patients):
        linked[row] |= [patient is not None and patient == other for other in patients]
    for _ in range(count):
        linked = linked | (linked @ linked)
    assert np.array_equal(groups[:, None] == groups, linked)
    assert list(dict.fromkeys(groups.tolist())) == list(range(groups.max() + 1))


def test_the_csv_keeps_odd_names_and_has_a_header_when_empty(tmp_path):
    write_audit(tmp_path / "a.csv", [])
    assert (tmp_path / "a.csv").read_bytes() == b"kind,file,other,detail\n"
    odd = ("near_duplicate", '0/ä, "x"\n.png', "0/b.png", "correlation 0.990")
    write_audit(tmp_path / "b.csv", [odd])
    with (tmp_path / "b.csv").open(encoding="utf-8", newline="") as lines:
        assert [tuple(row) for row in csv.reader(lines)][1:] == [odd]


def test_likeness_alone_does_not_join_two_known_patients():
    records = [ImageRecord(f"{n}.png", n % 2, patient) for n, patient in enumerate(("1", "2", "1", None))]
    near = [Copy(1, 0, False, "correlation 0.970"), Copy(3, 0, False, "correlation 0.980")]
    exact = [Copy(2, 1, True, "sha256 0")]
    joined = copies_to_join(records, [*exact, *near])
    assert joined == [exact[0], near[1]]
    assert copies_to_join(records, [*exact, *near], near=False) == exact
    findings = audit_images(records, near, joined)
    assert findings[0] == ("near_duplicate", "1.png", "0.png", "correlation 0.970; not joined")
    assert [item.file for item in findings if item.kind == "label_conflict"] == ["1.png", "3.png"]
    assert len(audit_images(records, near, [], near_counts=False)) == 2

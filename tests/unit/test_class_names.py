import pytest
from hypothesis import given
from hypothesis import strategies as st

from preprocessing.errors import PreprocessingError
from preprocessing.sources.class_names import name_classes


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        (("malignant", "benign"), ("benign", "malignant")),
        (("Cancer", "Non-Cancer"), ("Non-Cancer", "Cancer")),
        (("POSITIVE", "negative"), ("negative", "POSITIVE")),
        (("non_cancerous", "cancerous"), ("non_cancerous", "cancerous")),
    ],
)
def test_well_known_names_need_no_help_in_any_order(names, classes):
    for order in (names, names[::-1]):
        assert name_classes(order, "", "x") == (classes, classes[1])


@pytest.mark.parametrize("names", [("benign", "normal"), ("cancer", "malignant"), ("malignant", "cyst")])
def test_a_doubt_is_refused_and_removed_by_the_user(names):
    with pytest.raises(PreprocessingError, match="is not clear"):
        name_classes(names, "", "x")
    assert name_classes(names, names[0], "x") == ((names[1], names[0]), names[0])


@given(st.sets(st.text(min_size=1), min_size=2, max_size=2).filter(lambda names: not names <= {"0", "1"}))
def test_any_two_names_will_do_where_the_user_says_which_is_1(names):
    for one in names:
        (other,) = names - {one}
        assert name_classes(names, one, "x") == ((other, one), one)


def test_numbers_are_labels_unless_the_user_turns_them_round():
    assert name_classes({"0", "1"}, "", "x") == (("non-cancerous", "cancerous"), "1")
    assert name_classes({"0", "1"}, "0", "x") == (("non-cancerous", "cancerous"), "0")


@pytest.mark.parametrize("names", [("a",), ("a", "b", "c"), ("0", "1", "2")])
def test_other_than_two_classes_are_refused(names):
    with pytest.raises(PreprocessingError, match=rf"two classes are supported; the folder has {len(names)} "):
        name_classes(names, "", "the folder")


def test_a_positive_class_that_is_not_there_is_refused():
    with pytest.raises(PreprocessingError, match=r"--positive-class: received 'c', x has a, b"):
        name_classes(("a", "b"), "c", "x")

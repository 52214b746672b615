import pytest
from hypothesis import given
from hypothesis import strategies as st

from preprocessing.errors import PreprocessingError
from preprocessing.prepare.sources.class_names import name_classes


def named(names, positive="", class_names=()):
    return name_classes(names, positive, class_names, "x")


def refused(match, *arguments):
    with pytest.raises(PreprocessingError, match=match):
        named(*arguments)


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
        assert named(order) == (classes, classes)


@pytest.mark.parametrize("names", [("benign", "normal"), ("cancer", "malignant"), ("malignant", "cyst")])
def test_a_doubt_is_refused_and_removed_by_the_user(names):
    refused("is not clear", names)
    classes = (names[1], names[0])
    assert named(names, names[0]) == named(names, "", classes) == (classes, classes)


NAMES = st.text(min_size=1, max_size=100).filter(str.isprintable)


def are_two(names):
    """Whether names differ in more than case, and are not the labels."""
    return not names <= {"0", "1"} and len({name.casefold() for name in names}) == 2


@given(st.sets(NAMES, min_size=2, max_size=2).filter(are_two))
def test_any_two_names_work_with_a_positive_class(names):
    for one in names:
        (other,) = names - {one}
        assert named(names, one) == ((other, one), (other, one))


def test_numbers_are_labels_unless_the_user_swaps_them():
    assert named({"0", "1"}) == (("non-cancerous", "cancerous"), ("0", "1"))
    assert named({"0", "1"}, "0") == (("non-cancerous", "cancerous"), ("1", "0"))


def test_more_classes_are_in_the_order_of_their_numbers_or_of_the_alphabet():
    numbers = tuple(str(number) for number in range(11))
    assert named(set(numbers)) == (numbers, numbers)
    assert named({"normal", "malignant", "benign"}) == (("benign", "malignant", "normal"),) * 2


def test_the_user_names_the_numbers():
    assert named({"1", "0"}, "", ("healthy", "ill")) == (("healthy", "ill"), ("0", "1"))
    assert named({"1", "0"}, "1", ("healthy", "ill")) == (("healthy", "ill"), ("0", "1"))
    assert named({"2", "1", "0"}, "", ("c", "b", "a")) == (("c", "b", "a"), ("0", "1", "2"))


def test_the_user_gives_the_order_of_the_names():
    order = ("normal", "benign", "malignant")
    assert named(sorted(order), "", order) == (order, order)
    assert named({"2", "1", "0"}, "", ("2", "0", "1")) == (("2", "0", "1"), ("2", "0", "1"))
    assert named(("benign", "malignant"), "benign", ("malignant", "benign"))[0] == ("malignant", "benign")


def test_class_names_that_do_not_fit_are_refused():
    refused(
        r"CLASS_NAMES: received 2 names \(a, b\), x has 3 classes \(a, b, c\); name exactly these",
        "abc", "", ("a", "b"),
    )  # fmt: skip
    refused(r"CLASS_NAMES: received 3 names \(a, b, d\), x has 3 classes", "abc", "", ("a", "b", "d"))
    refused(r"x has 3 classes \(0, 1, 2\); name each label", "012", "", ("a", "b"))
    refused(r"x has 2 classes \(0, 1\)", "0", "", ("a", "b", "c"))


def test_a_positive_class_that_contradicts_class_names_is_refused():
    refused(
        r"--positive-class: received 'a', but CLASS_NAMES \(a, b\) makes it label 0; l", "ab", "a", ("a", "b")
    )
    refused(r"--positive-class: received '0', but CLASS_NAMES", "01", "0", ("healthy", "ill"))


@pytest.mark.parametrize("names", ["abc", "012"])
def test_a_positive_class_of_more_than_two_is_refused(names):
    refused(r"--positive-class: is for two classes, x has 3 \(.*\); use --class-names", names, names[0])


def test_numbers_with_a_gap_may_be_labels_or_names():
    refused(r"x has the classes 2, 3, 10, but numbered labels are 0 to 2; .*--class-names 2,3,10",
            {"10", "2", "3"})  # fmt: skip
    assert named("123", "", tuple("123")) == (tuple("123"), tuple("123"))


def test_one_class_is_refused():
    refused(r"two or more classes are needed; x has 1 \(a\); give each class a folder", ("a",))


def test_a_positive_class_that_is_not_there_is_refused():
    refused(r"--positive-class: received 'c', x has a, b", ("a", "b"), "c")


def test_names_that_differ_in_case_or_strokes_alone_are_refused():
    refused("x has the classes Normal and normal; use one name", ("Normal", "benign", "normal"))
    refused("x has the classes no cancer and no_cancer; use", ("cancer", "no cancer", "no_cancer"))


@pytest.mark.parametrize("name", ["b" * 101, "two\nlines"])
def test_a_name_that_no_table_can_show_is_refused(name):
    refused("x has the class .*: names of classes are 1 to 100 letters", ("a", name))

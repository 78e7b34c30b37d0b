"""Labels become columns, without case and outer spaces; a wrong one is met with the nearest right one."""

import pytest

from emobraid.emotions import CIRCUMPLEX, Emotion, LabelSpace, nearest


def test_the_seven_emotions_are_in_the_order_of_our_tables():
    assert LabelSpace().names == ("happy", "sad", "angry", "fear", "surprise", "disgust", "neutral")
    assert len(LabelSpace()) == 7


@pytest.mark.parametrize("label", ["angry", "ANGRY", "  Angry\t"])
def test_labels_are_read_without_case_and_outer_spaces(label):
    assert LabelSpace().index(label) == 2


def test_an_unknown_label_is_met_with_the_nearest_and_all_known():
    with pytest.raises(ValueError, match=r"^unknown label 'Suprise', did you mean 'surprise'\? known: happy, sad"):
        LabelSpace().index("Suprise")


def test_a_label_like_no_other_is_met_with_all_known():
    with pytest.raises(ValueError, match=r"^unknown label 'xyz', known: happy, sad"):
        LabelSpace().index("xyz")


def test_nearest_says_nothing_when_nothing_is_near():
    assert nearest("fusion_typ", ["fusion_type", "seed"]) == ", did you mean 'fusion_type'?"
    assert nearest("qqq", ["fusion_type", "seed"]) == ""


@pytest.mark.parametrize("names", [(), ("happy",)])
def test_fewer_than_two_classes_are_no_task(names):
    with pytest.raises(ValueError, match="at least two classes"):
        LabelSpace(names)


def test_labels_that_differ_only_in_case_are_refused():
    with pytest.raises(ValueError, match="labels must differ"):
        LabelSpace(("Happy", "sad", " happy"))


def test_affect_is_the_expected_place_on_the_circumplex():
    space = LabelSpace(("Happy", "sad", "neutral"))
    # happy lies at (0.8, 0.5), sad at (-0.7, -0.4), neutral at the origin
    affect = space.affect([0.5, 0.25, 0.25])
    assert affect == pytest.approx({"valence": 0.4 - 0.175, "arousal": 0.25 - 0.1})


def test_affect_is_left_out_where_a_class_has_no_known_place():
    assert LabelSpace(("happy", "bored")).affect([0.5, 0.5]) == {}


def test_every_emotion_has_a_place_inside_the_plane():
    assert set(Emotion) <= CIRCUMPLEX.keys()
    assert all(-1 <= value <= 1 for place in CIRCUMPLEX.values() for value in place)


def test_probabilities_of_another_width_are_our_own_mistake_and_stop():
    with pytest.raises(ValueError, match="zip"):
        LabelSpace(("happy", "sad")).affect([1.0])

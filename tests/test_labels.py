"""Label maps: what each corpus's labels mean, and what a model with other labels makes of them."""

import pytest

from emobraid.data.labels import LABEL_SETS, TAXONOMIES, mapping, targets, to_common
from emobraid.emotions import Emotion, LabelSpace

SEVEN = tuple(e.value for e in Emotion)


@pytest.mark.parametrize(
    ("corpus", "name", "common"),
    [
        ("meld", "joy", "happy"),
        ("meld", "sadness", "sad"),
        ("meld", "anger", "angry"),
        ("meld", "neutral", "neutral"),
        ("meld", " Joy ", "happy"),
        ("iemocap", "exc", "happy"),
        ("iemocap", "hap", "happy"),
        ("iemocap", "fru", None),
        ("iemocap", "xxx", None),
        ("iemocap", "oth", None),
        ("iemocap", "dis", "disgust"),
        ("mosei", "anger", "angry"),
        ("goemotions", "joy", "happy"),
        ("ravdess", "calm", "neutral"),
        ("ravdess", "fearful", "fear"),
        ("ravdess", "surprised", "surprise"),
    ],
)
def test_a_label_stands_for_one_of_the_common_seven_or_none(corpus, name, common):
    assert to_common(corpus, name) == common


def test_an_unknown_label_is_told_with_the_nearest_and_an_unknown_corpus_too():
    with pytest.raises(
        ValueError, match=r"unknown label 'joyy', did you mean 'joy'\? MELD has neutral, surprise, fear"
    ):
        to_common("meld", "joyy")
    with pytest.raises(ValueError, match=r"no label map for 'melt', did you mean 'meld'\? known: meld, iemocap, mosei"):
        to_common("melt", "joy")


def test_meld_on_the_common_seven():
    assert mapping("meld", SEVEN) == {
        "neutral": "neutral",
        "surprise": "surprise",
        "fear": "fear",
        "disgust": "disgust",
        "sadness": "sad",
        "joy": "happy",
        "anger": "angry",
    }


def test_a_models_own_names_come_first():
    assert mapping("meld", LABEL_SETS["meld"]) == {name: name for name in TAXONOMIES["meld"].labels}
    assert mapping("ravdess", LABEL_SETS["ravdess"]) == {name: name for name in TAXONOMIES["ravdess"].labels}


def test_names_are_compared_without_case_and_the_models_spelling_comes_out():
    assert mapping("meld", ("Joy", "SAD", "neutral"))["joy"] == "Joy"
    assert mapping("meld", ("Joy", "SAD", "neutral"))["sadness"] == "SAD"


def test_iemocap_four_ways_takes_excited_for_happy_and_leaves_seven_codes_out():
    mapped = mapping("iemocap", LABEL_SETS["iemocap_4"])
    assert {k: v for k, v in mapped.items() if v} == {
        "ang": "angry",
        "hap": "happy",
        "exc": "happy",
        "sad": "sad",
        "neu": "neutral",
    }
    assert [k for k, v in mapped.items() if v is None] == ["fru", "fea", "sur", "dis", "oth", "xxx"]


def test_iemocap_six_ways_keeps_excited_and_frustrated_apart():
    mapped = mapping("iemocap", LABEL_SETS["iemocap_6"])
    assert (mapped["hap"], mapped["exc"], mapped["fru"]) == ("happy", "excited", "frustrated")
    assert mapping("iemocap", LABEL_SETS["iemocap_5"])["exc"] == "happy"


def test_what_a_model_cannot_express_has_a_reason():
    told = targets("meld", ("happy", "sad", "angry", "neutral"))
    assert told["fear"] == (None, "the model has no class for fear")
    assert targets("iemocap", SEVEN)["fru"] == (None, "frustration is none of the common seven")


def test_two_classes_of_one_meaning_are_no_answer():
    told = targets("meld", LABEL_SETS["iemocap_6"])
    assert told["joy"] == (None, "happy could be happy or excited in this model")
    assert told["sadness"].label == "sad"


def test_a_model_of_one_corpus_reads_another_through_the_common_seven():
    assert mapping("ravdess", LABEL_SETS["meld"]) == {
        "neutral": "neutral",
        "happy": "joy",
        "sad": "sadness",
        "angry": "anger",
        "disgust": "disgust",
        "calm": "neutral",
        "fearful": "fear",
        "surprised": "surprise",
    }


@pytest.mark.parametrize("corpus", TAXONOMIES)
def test_every_map_is_whole(corpus):
    known = TAXONOMIES[corpus]
    for name, own in known.labels.items():
        assert name == LabelSpace.key(name)
        assert own.common is None or own.common in Emotion
        assert bool(own.reason) == (own.common is None)
    # through the seven and back, nothing that can be told is lost
    assert all((label is None) == (to_common(corpus, name) is None) for name, label in mapping(corpus, SEVEN).items())


@pytest.mark.parametrize("name", LABEL_SETS)
def test_every_label_set_is_a_label_space(name):
    assert len(LabelSpace(LABEL_SETS[name])) == len(LABEL_SETS[name])

"""IEMOCAP in its own layout: every sample exactly as its files say, its folds, and one line for what is not."""

import json
from pathlib import Path

import pytest

from corpora import Onlooker, run
from emobraid.cli import main
from emobraid.config import Config, DataConfig, ModelConfig, parse
from emobraid.data.audit import audit
from emobraid.data.corpus import Clip, Sample, SealedSplit
from emobraid.data.emo_evaluation import read_evaluation, read_transcription
from emobraid.data.labels import LABEL_SETS
from emobraid.data.layouts import open_corpus, table_hash
from emobraid.data.mocap import MotionCell
from emobraid.data.sample import make_sample_iemocap
from emobraid.data.sample.iemocap_script import script
from emobraid.evaluation import report
from emobraid.evaluation.sealed import evaluate

PARTS = ("MOCAP_rotated", "MOCAP_head", "MOCAP_hand")
TURNS = """\
% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]

[10.0000 - 12.5000]\tSes01F_impro01_M000\tang\t[1.5000, 4.0000, 3.6667]
C-E2:\tAnger;\t()
C-E3:\tAnger; Frustration;\t()
C-E4:\tSadness;\t(tired, too)
C-M1:\tNeutral;\t()
A-E2:\tval 1; act 4; dom  4;\t()
A-E3:\tval 2; act 4; dom ;\t()

[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[3.0000, 2.5000, 2.5000]
C-E2:\tNeutral;\t()
C-E3:\tNeutral state;\t()
C-E4:\tBored;\t()

[13.0000 - 14.0000]\tSes01F_impro01_F001\txxx\t[2.0000, 2.0000, 2.0000]
C-E2:\tFrustration;\t()
"""
SAID = """\
Ses01F_impro01_F000 [006.2901-008.2357]: Excuse me.
Ses01F_impro01_MXX0 [009.0000-009.5000]: Yeah.
M: [LAUGHTER]
Ses01F_impro01_M000 [010.0000-012.5000]: Next!
"""


def write(path: Path, content: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


@pytest.fixture
def release(tmp_path) -> Path:
    """Three turns in session 1, one in each other session; sounds and films are empty files, as nothing reads them."""
    root = tmp_path / "IEMOCAP_full_release"
    first = root / "Session1"
    write(first / "dialog/EmoEvaluation/Ses01F_impro01.txt", TURNS)
    write(first / "dialog/EmoEvaluation/._Ses01F_impro01.txt", "\0\0")
    write(first / "dialog/EmoEvaluation/Categorical/Ses01F_impro01_e1_cat.txt", "Ses01F_impro01_F000 :Neutral; ()")
    write(first / "dialog/transcriptions/Ses01F_impro01.txt", SAID)
    write(first / "dialog/avi/DivX/Ses01F_impro01.avi")
    write(first / "sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav")
    write(first / "sentences/wav/Ses01F_impro01/Ses01F_impro01_M000.wav")
    for part in PARTS[:2]:
        write(first / f"sentences/{part}/Ses01F_impro01/Ses01F_impro01_F000.txt")
    for n, emotion in zip(range(2, 6), ("hap", "exc", "sad", "fru"), strict=True):
        name = f"Ses{n:02d}M_script01_1"
        line = f"[1.0 - 2.0]\t{name}_M000\t{emotion}\t[5.0000, 3.0000, 1.0000]\n"
        write(root / f"Session{n}/dialog/EmoEvaluation/{name}.txt", line)
        write(root / f"Session{n}/dialog/transcriptions/{name}.txt", f"{name}_M000 [001.0000-002.0000]: Number {n}.\n")
        write(root / f"Session{n}/dialog/avi/Divx/{name}.avi")
    for part in PARTS:
        write(root / f"Session5/dialog/{part}/Ses05M_script01_1.txt")
    return root


ALL = ("text", "audio", "video", "motion")


def opened(root, *, data=None, **model):
    settings = DataConfig(**{"dataset": "iemocap", "data_root": root, "fold": "session2", **(data or {})})
    return open_corpus(settings, ModelConfig(**{"labels": LABEL_SETS["iemocap_6"], **model}))


def refusal(root, split="train", data=None, **model):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # each test matches the message
        opened(root, data=data, **model).split(split)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def turns(root, session: int) -> Path:
    return next((root / f"Session{session}/dialog/EmoEvaluation").glob("Ses*.txt"))


# what is read


def test_every_turn_is_the_sample_that_its_files_say(release):
    film = release / "Session1/dialog/avi/DivX/Ses01F_impro01.avi"
    motion = release / "Session1/sentences"
    own = "Ses01F_impro01/Ses01F_impro01_F000"

    def sample(name, line, group, label, affect, cells, absent):
        return Sample(
            id=name,
            table="Ses01F_impro01.txt",
            line=line,
            group=group,
            cells=cells,
            sound_from_video=False,
            label=label,
            affect=affect,
            absent={"text": "no transcript", "audio": "no such file", "video": "no such film", "motion": absent},
        )

    samples = opened(release, modalities=ALL).split("train")
    assert [s.id for s in samples if s.id.startswith("Ses01")] == ["Ses01F_impro01_F000", "Ses01F_impro01_M000"]
    she, he = samples[:2]
    assert she == sample(
        "Ses01F_impro01_F000",
        11,
        "Ses01F",
        2,  # neutral of happy, sad, neutral, angry, excited, frustrated
        {"valence": 0.0, "arousal": -0.25, "dominance": -0.25},
        {
            "text": "Excuse me.",
            "audio": release / f"Session1/sentences/wav/{own}.wav",
            "video": Clip(film, 6.2901, 8.2357, "left"),
            "motion": MotionCell((motion / f"MOCAP_rotated/{own}.txt", motion / f"MOCAP_head/{own}.txt", None)),
        },
        "no such recording",
    )
    assert he == sample(
        "Ses01F_impro01_M000",
        3,
        "Ses01M",
        3,
        {"valence": -0.75, "arousal": 0.5, "dominance": pytest.approx(0.33335)},
        {
            "text": "Next!",
            "audio": release / "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_M000.wav",
            "video": Clip(film, 10.0, 12.5, "right"),
            "motion": None,
        },
        "the speaker wears no markers",
    )


def test_motion_of_the_whole_dialogue_is_cut_to_the_turn(release):
    (turn,) = opened(release, data={"fold": "session4"}, modalities=("text", "motion")).split("val")
    files = tuple(release / f"Session5/dialog/{part}/Ses05M_script01_1.txt" for part in PARTS)
    assert turn.cells["motion"] == MotionCell(files, 1.0, 2.0)


def test_the_folder_that_holds_the_release_will_do_as_well(release):
    assert opened(release.parent).split("train")[0].id == opened(release).split("train")[0].id == "Ses01F_impro01_F000"


def test_context_is_what_was_said_before_in_order_of_time_whether_it_was_judged_or_not(release):
    he = opened(release, context_turns=4).split("train")[1]
    assert he.speaker == "Ses01M"
    assert he.context == (("Ses01F", "Excuse me."), ("Ses01M", "Yeah."))
    assert opened(release, context_turns=1).split("train")[1].context == (("Ses01M", "Yeah."),)


def test_a_turn_without_words_or_sound_lacks_them_with_a_reason(release):
    (release / "Session1/dialog/transcriptions/Ses01F_impro01.txt").unlink()
    (release / "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav").unlink()
    she = opened(release, context_turns=2).split("train")[0]
    assert (she.cells["text"], she.cells["audio"], she.context) == (None, None, ())
    assert (she.absent["text"], she.absent["audio"]) == ("no transcript", "no such file")


@pytest.mark.parametrize(
    ("labels", "kept", "left_out"),
    [
        ("iemocap_4", 5, {"fru": 1, "xxx": 1}),
        ("iemocap_5", 6, {"xxx": 1}),
        ("iemocap_6", 6, {"xxx": 1}),
        ("common", 5, {"fru": 1, "xxx": 1}),
    ],
)
def test_the_usual_classes_keep_these_turns(release, labels, kept, left_out):
    corpus = opened(release, labels=LABEL_SETS[labels])
    assert sum(len(corpus.split(s)) for s in ("train", "val")) + len(corpus.open_test()) == kept
    gone = {
        own.name: own.rows for s in ("train", "val", "test") for own in corpus.rows.labels(s) if own.read_as is None
    }
    assert gone == left_out
    excited = {own.name: own.read_as for own in corpus.rows.labels("val")}
    assert excited == {"exc": "excited" if labels == "iemocap_6" else "happy"}


def test_labels_that_express_nothing_are_refused(release):
    assert refusal(release, labels=("up", "down")) == "the labels up, down express none of IEMOCAP's; see --labels"


def test_votes_become_soft_labels_in_training_only_and_the_majority_stays(release):
    she, he = opened(release, data={"soft_labels": True}).split("train")[:2]
    # Anger, half Anger and half Frustration, Sadness; the actor's own is not counted
    assert he.spread == pytest.approx((0, 1 / 3, 0, 1 / 2, 0, 1 / 6))
    assert he.label == 3
    # Neutral twice; a word that is not on the form is another emotion, which this model has no class for
    assert she.spread == pytest.approx((0, 0, 1, 0, 0, 0))
    in_four = opened(release, data={"soft_labels": True}, labels=LABEL_SETS["iemocap_4"]).split("train")[1]
    assert in_four.spread == pytest.approx((0.6, 0, 0.4, 0))
    assert all(s.spread is None for s in opened(release).split("train"))
    assert [s.spread for s in opened(release, data={"soft_labels": True}).split("val")] == [None]
    assert opened(release, data={"soft_labels": True}).split("train")[2].spread is None  # nobody's votes are there


def test_inputs_come_without_anything_that_is_asked(release):
    inputs = opened(release, data={"soft_labels": True}).inputs("test")
    assert [(s.label, s.spread, s.affect) for s in inputs] == [(None, None, {})]
    assert len(opened(release).inputs("train")) == 5  # the undecided one too


def test_every_line_of_the_annotators_is_read(release):
    he, she, she_again = read_evaluation(turns(release, 1))
    assert he.votes == {"E2": ("ang",), "E3": ("ang", "fru"), "E4": ("sad",), "M1": ("neu",)}
    assert he.ratings == {
        "E2": {"valence": 1, "arousal": 4, "dominance": 4},
        "E3": {"valence": 2, "arousal": 4},
    }
    assert she.votes == {"E2": ("neu",), "E3": ("neu",), "E4": ("oth",)}
    assert she_again.shares() == {"fru": 1.0}
    said, without = read_transcription(release / "Session1/dialog/transcriptions/Ses01F_impro01.txt")
    assert [s.name[-4:] for s in said] == ["F000", "MXX0", "M000"]
    assert without == [3]


# folds


@pytest.mark.parametrize("held", range(1, 6))
def test_leaving_a_session_out_validates_on_the_next(release, held):
    corpus = opened(release, data={"fold": f"session{held}"})

    def sessions(samples):
        return {int(s.id[4]) for s in samples}

    following = held % 5 + 1
    assert sessions(corpus.open_test()) == {held}
    assert sessions(corpus.split("val")) == {following}
    assert sessions(corpus.split("train")) == {1, 2, 3, 4, 5} - {held, following}
    groups = [{s.group for s in rows} for rows in (corpus.split("train"), corpus.split("val"), corpus.open_test())]
    assert len(groups[0] | groups[1] | groups[2]) == sum(map(len, groups))  # nobody is in two splits


def test_the_fold_of_conversations_validates_on_a_sixth_of_the_other_dialogues_drawn_with_a_seed(release):
    for n in range(1, 5):
        for i in range(2, 4):
            text = f"[1.0 - 2.0]\tSes{n:02d}M_impro0{i}_M000\tneu\t[3.0, 3.0, 3.0]\n"
            write(release / f"Session{n}/dialog/EmoEvaluation/Ses{n:02d}M_impro0{i}.txt", text)
            said = f"Ses{n:02d}M_impro0{i}_M000 [001.0000-002.0000]: Well.\n"
            write(release / f"Session{n}/dialog/transcriptions/Ses{n:02d}M_impro0{i}.txt", said)

    def drawn(seed):
        corpus = opened(release, data={"fold": "erc", "split_seed": seed}, modalities=("video", "text"))
        return corpus, {s.id.rpartition("_")[0] for s in corpus.rows.read("val", labelled=False)}

    corpus, val = drawn(0)
    train = {s.id.rpartition("_")[0] for s in corpus.rows.read("train", labelled=False)}
    assert (len(train), len(val), len(train | val)) == (10, 2, 12)
    assert {s.id[:5] for s in corpus.rows.read("test", labelled=False)} == {"Ses05"}
    assert drawn(0)[1] == val
    assert any(drawn(seed)[1] != val for seed in (1, 2, 3))


def test_session_five_is_the_test_where_no_fold_is_named(release):
    corpus = opened(release, data={"fold": None})
    assert {s.id[4] for s in corpus.open_test()} == {"5"}
    assert (
        corpus.notes("train")[0] == "fold session5: test is session 5, validation session 1, training the other three"
    )
    assert corpus.notes("val") == (
        "1 lines of transcriptions have no time and are not read",
        "1 rows 'xxx' left out: the annotators did not agree",
    )


@pytest.mark.parametrize("name", ["fold", "soft_labels"])
def test_what_only_iemocap_has_is_refused_elsewhere(name):
    with pytest.raises(ValueError, match=f"{name} is for --dataset iemocap; meld has nothing of that kind"):
        parse({"data": {"dataset": "meld", name: "session1" if name == "fold" else True}}, "test")
    with pytest.raises(ValueError, match=r"data\.fold: .*'session5'"):
        parse({"data": {"dataset": "iemocap", "fold": "session6"}}, "test")


def test_the_test_split_is_sealed_and_its_hash_is_of_what_it_holds(release):
    corpus = opened(release)
    with pytest.raises(SealedSplit):
        corpus.split("test")
    before = table_hash(corpus.rows.table("test"))
    write(turns(release, 3), turns(release, 3).read_text().replace("exc", "hap"))
    assert table_hash(corpus.rows.table("test")) == before  # session 3 validates here
    write(turns(release, 2), turns(release, 2).read_text().replace("hap", "sad"))
    assert table_hash(corpus.rows.table("test")) != before


# what is refused


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (
            "[1.0 - 2.0] Ses01F_impro01_F009",
            "is not of the form [start - end] turn emotion [valence, arousal, dominance]",
        ),
        ("[2.0 - 1.0]\tSes01F_impro01_F009\tneu\t[1.0, 2.0, 3.0]", "Ses01F_impro01_F009 ends at 1 s, before or when"),
        ("[1.0 - 2.0]\tSes01F_impro02_F009\tneu\t[1.0, 2.0, 3.0]", "'Ses01F_impro02_F009' is no turn of this dialogue"),
        ("[1.0 - 2.0]\tSes01F_impro01_F009\tjoy\t[1.0, 2.0, 3.0]", "unknown label 'joy', IEMOCAP has ang, "),
        ("[1.0 - 2.0]\tSes01F_impro01_F009\tneu\t[1.0, nan, 3.0]", "[1.0, nan, 3.0] are not three numbers"),
        ("[1.0 - 2.0]\tSes01F_impro01_F009\tneu\t[1.0, 2.0]", "[1.0, 2.0] are not three numbers"),
        (
            "[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[1.0, 2.0, 3.0]",
            "Ses01F_impro01_F000 is there already, in line 11",
        ),
    ],
)
def test_a_bad_line_is_one_line_with_its_number(release, line, reason):
    path = write(turns(release, 1), TURNS + line + "\n")
    assert refusal(release).startswith(f"{path} line 18: {reason}")


def test_a_session_that_is_not_there_is_named(release):
    (release / "Session4").rename(release / "elsewhere")
    folder = release / "Session4/dialog/EmoEvaluation"
    assert refusal(release) == (
        f"{folder}: no such folder; data_root must be IEMOCAP_full_release, with Session1 to Session5, or hold it"
    )


def test_nothing_to_read_at_all_is_told(release):
    for path in release.glob("Session*/sentences/wav/*/*.wav"):
        path.unlink()
    assert refusal(release, modalities=("audio",)) == (
        f"{release}: no turn of train has any of audio; are the files there?"
    )


def test_feature_encoders_have_nothing_to_read_here(release):
    message = "IEMOCAP has no published audio features here; use compact or pretrained"
    assert refusal(release, audio_encoder="features") == message


def test_a_file_that_leads_out_of_the_release_is_refused_unless_allowed(release, tmp_path):
    secret = write(tmp_path / "elsewhere" / "secret.wav")
    sound = release / "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav"
    sound.unlink()
    sound.symlink_to(secret)
    assert "leads outside" in refusal(release)
    allowed = opened(release, data={"allow_outside": tmp_path / "elsewhere"}).split("train")
    assert allowed[0].cells["audio"] == secret


# a made-up release with sounds, films and motion


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("iemocap") / "made"
    defects = ["missing_wav", "cut_film", "missing_hand", "mac_files", "missing_transcript"]
    assert main(["sample-corpus", str(root), "--layout", "iemocap", "--clips", "20", "--defects", *defects]) == 0
    return root


def test_the_made_up_release_reads_back_as_it_was_written(made):
    corpus = opened(made, data={"fold": "session5"}, labels=LABEL_SETS["iemocap_6"], modalities=ALL)
    read = {s.id: s for split in ("train", "val") for s in corpus.rows.read(split, labelled=True)}
    planned = {t.name: t for t in script(0, 20) if t.session != 5 and t.emotion not in ("xxx", "sur", "fea")}
    assert read.keys() == planned.keys()
    for name, turn in planned.items():
        sample = read[name]
        assert sample.cells["text"] == turn.clip.text
        assert (sample.group, sample.cells["video"].side) == (
            name[:5] + turn.speaker,
            "left" if turn.marked else "right",
        )
        assert (sample.cells["motion"] is not None) == turn.marked
        assert (sample.cells["audio"] is None) == (name == "Ses01F_impro01_F000")
        mean = sum(v for v, _, _ in turn.ratings) / 2
        assert sample.affect["valence"] == pytest.approx((mean - 3) / 2)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"clips": 10}, "at least 20 and a multiple of 10, got 0 and 10"),
        ({"clips": 25}, "a multiple of 10"),
        ({"defects": ("gap",)}, "unknown defect 'gap'"),
    ],
)
def test_settings_out_of_range_are_refused_before_anything_is_made(settings, reason, tmp_path):
    with pytest.raises(ValueError, match=reason):
        make_sample_iemocap(tmp_path / "new", **settings)
    assert not (tmp_path / "new").exists()


def config(root, **changed) -> Config:
    tree = {
        "model": {
            "encoder_dim": 8,
            "fusion_hidden_size": 8,
            "fusion_heads": 2,
            "fusion_depth": 1,
            "fusion_type": "late",
        },
        "training": {"num_epochs": 1, "batch_size": 4},
        "data": {"dataset": "iemocap", "data_root": str(root), "cache": False, "workers": 1},
    }
    for name, value in changed.items():
        section = next(s for s in tree if name in getattr(Config(), s).__dataclass_fields__)
        tree[section][name] = value
    return parse(tree, "test")


@pytest.mark.parametrize("fusion", ["adaptive", "mult"])
def test_a_model_of_words_voice_and_motion_is_trained_and_scored(made, tmp_path, monkeypatch, fusion):
    monkeypatch.setattr(report, "pictures_of", lambda *_: ())
    asked = {"modalities": ["text", "audio", "motion"], "fusion_type": fusion, "soft_labels": True}
    with pytest.raises(ValueError, match=r"no row is disgust, .* --labels happy sad angry fear surprise neutral"):
        run(config(made, **asked), tmp_path / "run")
    settings = config(made, **asked, labels=["happy", "sad", "angry", "fear", "surprise", "neutral"])
    told = Onlooker()
    run(settings, tmp_path / "run", reporter=told)
    said = [line for line in told.said if line.startswith(("train:", "val:"))]
    assert said == [
        "train: fold session5: test is session 5, validation session 1, training the other three",
        "train: 6 lines of transcriptions have no time and are not read",
        "train: 3 rows 'fru' left out: frustration is none of the common seven",
        "train: 1 rows 'xxx' left out: the annotators did not agree",
        "val: 2 lines of transcriptions have no time and are not read",
        "train: 8 utterances; motion missing in 5 (the speaker wears no markers 5)",
        "val: 4 utterances; audio missing in 1 (no such file 1); motion missing in 2 (the speaker wears no markers 2)",
        "val: 4 labelled rows; no row is fear, surprise: which epoch is best is chosen on these rows, and says little",
    ]
    metrics = evaluate(tmp_path / "run" / "best_model", settings.data, tmp_path / "out", Onlooker())
    read = metrics["run"]["protocol"]["labels"]["exc"]
    assert (read["rows"], read["read_as"]) == (1, "happy")
    with pytest.raises(
        ValueError, match="trained in the fold session5, and has seen the test of session1: give --fold"
    ):
        evaluate(tmp_path / "run" / "best_model", config(made, fold="session1").data, tmp_path / "out", Onlooker())


def test_a_film_that_was_cut_stops_training_with_its_name_or_is_a_missing_face(made, tmp_path):
    settings = {"modalities": ["text", "video"], "video_max_frames": 2, "labels": ["happy", "sad", "angry", "neutral"]}
    with pytest.raises(ValueError, match=r"Ses02F_impro01\.txt line \d+: .*Ses02F_impro01\.avi: its picture ends at "):
        run(config(made, **settings), tmp_path / "run")
    told = Onlooker()
    run(config(made, **settings, skip_unreadable=True), tmp_path / "run", reporter=told)
    (said,) = [line for line in told.said if line.startswith("train:") and "utterances" in line]
    assert "unreadable" in said


# looking it over


def looked(root, *, media=False, **data):
    settings = DataConfig(**{"dataset": "iemocap", "data_root": root, **data})
    return audit(settings, ModelConfig(), media=media)


def test_the_doctor_finds_every_defect(made):
    found = looked(made, media=True, workers=1)
    wrong = {f.check: f.places for f in found.findings if f.state != "fine"}
    assert wrong.pop("sound") == ("Ses01F_impro01_F000",)
    assert wrong.pop("mac files") == ("._Ses01F_impro01.txt",)
    assert wrong.pop("parts of motion") == ("Ses03F_impro01_F000: MOCAP_hand",)
    assert wrong.pop("transcripts") == ("Ses05F_impro01_F000", "Ses05F_impro01_M000")
    assert len(wrong.pop("lines without time")) == 9
    unreadable = wrong.pop("unreadable files")
    assert all(place.startswith("Ses02F_impro01_") and "its picture ends at" in place for place in unreadable)
    assert unreadable
    assert set(wrong) <= {"files without a face"}
    assert found.broken


def test_the_doctor_counts_against_the_release(release):
    found = looked(release)
    assert found.finding("turns").state == "broken"
    assert found.finding("turns").expected == (
        "151 dialogues, 1,819 Session1, 1,811 Session2, 2,136 Session3, 2,103 Session4, 2,170 Session5"
    )
    assert found.finding("turns").numbers == {
        "dialogues": 5,
        "Session1": 3,
        **{f"Session{n}": 1 for n in range(2, 6)},
    }
    assert found.finding("classes").expected == "5,531 4-way, 7,380 5-way, 7,380 6-way, 5,680 common seven"
    assert found.finding("classes").numbers == {"4-way": 5, "5-way": 6, "6-way": 6, "common seven": 5}
    assert found.finding("labels").numbers["ang"] == 1
    assert found.finding("evaluators").numbers == {"agreed": 1, "judged": 3, "without": 4}
    assert found.finding("sound").places == (
        "Ses01F_impro01_F001",
        *(f"Ses0{n}M_script01_1_M000" for n in range(2, 6)),
    )
    assert found.finding("motion").places == (
        "Ses01F_impro01_F001",
        *(f"Ses0{n}M_script01_1_M000" for n in range(2, 5)),
    )
    assert found.finding("speakers of test in train").state == "fine"


def test_the_fold_of_conversations_knows_the_people_it_validates_on(release):
    text = "[1.0 - 2.0]\tSes01F_impro02_F000\tneu\t[3.0, 3.0, 3.0]\n"
    write(release / "Session1/dialog/EmoEvaluation/Ses01F_impro02.txt", text)
    shared = [looked(release, fold="erc", split_seed=s).finding("speakers of val in train").places for s in range(8)]
    assert ("Ses01F",) in shared
    assert looked(release, fold="session5").finding("speakers of val in train").places == ()


def test_the_doctor_goes_on_where_one_file_is_broken(release, capsys):
    write(turns(release, 1), TURNS + "[2.0 - 1.0]\tSes01F_impro01_F009\tneu\t[1.0, 2.0, 3.0]\n" + TURNS)
    (release / "Session4").rename(release / "elsewhere")
    text = "Ses03M_script01_1_M000 [001.0000-002.0000]: But I never said that to you.\n"
    for n in (2, 3):
        name = f"Session{n}/dialog/transcriptions/Ses0{n}M_script01_1.txt"
        write(release / name, text.replace("Ses03", f"Ses0{n}"))
    assert main(["doctor", str(release), "--dataset", "iemocap", "--json"]) == 1
    told = {f["check"]: f for f in json.loads(capsys.readouterr().out)["findings"]}
    assert told["bad rows"]["places"] == [
        "Ses01F_impro01.txt line 18: Ses01F_impro01_F009 ends at 1 s, before or when it starts"
    ]
    assert len(told["duplicates"]["places"]) == 3
    assert "Session4/dialog/EmoEvaluation: no such folder" in told["folders"]["places"][0]
    assert told["words in other sessions"]["places"] == ["Ses02M_script01_1_M000", "Ses03M_script01_1_M000"]


def test_the_doctor_knows_the_release_by_its_folders(release):
    found = audit(DataConfig(data_root=release.parent), ModelConfig())
    assert found.dataset == "iemocap"
    assert found.finding("turns").numbers["dialogues"] == 5

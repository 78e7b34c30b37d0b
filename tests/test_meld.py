"""MELD in its own layout: every sample exactly as the tables say, and one line for everything that is not."""

import json
from collections import Counter

import pytest
from rich.console import Console

from corpora import Onlooker, run
from emobraid.cli import main
from emobraid.config import Config, DataConfig, ModelConfig, parse
from emobraid.data.corpus import Sample, SealedSplit
from emobraid.data.layouts import open_corpus
from emobraid.data.meld import MeldRows, read_table
from emobraid.data.sample import make_sample_meld
from emobraid.data.sample.meld import script
from emobraid.evaluation import report
from emobraid.evaluation.sealed import evaluate
from emobraid.media import MediaReader
from emobraid.training.run import train

HEADER = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime"
TIMES = '4,7,"00:00:01,000","00:00:02,500"'
OWN = ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger")
#: line ends as MELD has them; dialogue 3 comes first and in disorder, and lacks utterance 1
TRAIN = (
    f'1,"Well, you’ve won!",Joey,joy,positive,3,2,{TIMES}',
    f"2,Oh no.,Ross,sadness,negative,3,0,{TIMES}",
    f"3,Get out!,Joey,anger,negative,3,3,{TIMES}",
    f"4,It’s Monday.,Chandler and Joey,neutral,neutral,1,0,{TIMES}",
    f"5,,Ross,surprise,negative,1,1,{TIMES}",
)


def table(*lines):
    return "".join(f"{line}\r\n" for line in (HEADER, *lines)).encode()


@pytest.fixture
def corpus(tmp_path):
    """Tables as they are published, and an empty file for each clip but one."""
    root = tmp_path / "MELD.Raw"
    clips = {
        "train/train_splits": ["dia3_utt0", "dia3_utt2", "dia3_utt3", "dia1_utt0"],
        "dev/dev_splits_complete": ["dia0_utt0"],
        "test/output_repeated_splits_test": ["dia0_utt0", "final_videos_testdia0_utt0"],
    }
    for folder, names in clips.items():
        (root / folder).mkdir(parents=True)
        for name in names:
            (root / folder / f"{name}.mp4").write_bytes(b"")
    (root / "train_sent_emo.csv").write_bytes(table(*TRAIN))
    (root / "dev_sent_emo.csv").write_bytes(table(f"1,What?,Monica,surprise,negative,0,0,{TIMES}"))
    (root / "test_sent_emo.csv").write_bytes(table(f"1,Yuck.,Gunther,disgust,negative,0,0,{TIMES}"))
    return root


def opened(root, **model):
    return open_corpus(DataConfig(dataset="meld", data_root=root), ModelConfig(**model))


def refusal(root, split="train", **model):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # each test matches the message
        opened(root, **model).split(split)
    message = str(caught.value)
    assert "\n" not in message
    return message


# what is read


def test_every_row_is_the_sample_that_it_says(corpus):
    clips = corpus / "train" / "train_splits"

    def sample(name, line, speaker, text, label, *, clip=True):
        path = clips / f"{name}.mp4" if clip else None
        return Sample(
            id=f"train_{name}",
            table="train_sent_emo.csv",
            line=line,
            group=speaker,
            cells={"text": text, "audio": path, "video": path},
            sound_from_video=False,
            label=label,
            absent={"audio": "no such clip", "video": "no such clip"},
        )

    assert opened(corpus).split("train") == [
        sample("dia1_utt0", 5, "Chandler and Joey", "It’s Monday.", 6),
        sample("dia1_utt1", 6, "Ross", None, 4, clip=False),
        sample("dia3_utt0", 3, "Ross", "Oh no.", 1),
        sample("dia3_utt2", 2, "Joey", "Well, you’ve won!", 0),
        sample("dia3_utt3", 4, "Joey", "Get out!", 2),
    ]


def test_val_is_dev_and_numbers_begin_anew_in_each_split(corpus):
    (dev,), (test,) = opened(corpus).split("val"), opened(corpus).open_test()
    assert (dev.id, dev.table, dev.cells["text"]) == ("dev_dia0_utt0", "dev_sent_emo.csv", "What?")
    assert (test.id, test.cells["text"]) == ("test_dia0_utt0", "Yuck.")
    assert test.cells["video"].name == "dia0_utt0.mp4"


def test_the_test_split_is_sealed(corpus):
    with pytest.raises(SealedSplit):
        opened(corpus).split("test")
    with pytest.raises(SealedSplit):
        opened(corpus).notes("test")


def test_context_is_what_was_said_before_in_order_of_number_over_gaps_and_never_of_another_dialogue(corpus):
    by_id = {s.id: s for s in opened(corpus, context_turns=2).split("train")}
    assert by_id["train_dia3_utt0"].context == ()
    assert by_id["train_dia3_utt2"].context == (("Ross", "Oh no."),)
    assert by_id["train_dia3_utt3"].context == (("Ross", "Oh no."), ("Joey", "Well, you’ve won!"))
    assert by_id["train_dia1_utt1"].context == (("Chandler and Joey", "It’s Monday."),)
    assert by_id["train_dia3_utt3"].speaker == "Joey"
    nearest = {s.id: s for s in opened(corpus, context_turns=1).split("train")}
    assert nearest["train_dia3_utt3"].context == (("Joey", "Well, you’ve won!"),)


def test_a_model_with_melds_own_labels_has_them(corpus):
    assert [s.label for s in opened(corpus, labels=OWN).split("train")] == [0, 1, 3, 4, 6]


def test_inputs_come_without_labels_and_of_any_split(corpus):
    assert [s.label for s in opened(corpus).inputs("test")] == [None]
    # labels are not read, so none is left out
    assert len(opened(corpus, labels=("happy", "sad")).inputs("train")) == 5


def test_rows_that_the_model_cannot_express_are_left_out_counted_and_explained(corpus):
    few = opened(corpus, labels=("happy", "sad", "angry"), context_turns=4)
    samples = few.split("train")
    assert [(s.id, s.label) for s in samples] == [
        ("train_dia3_utt0", 1),
        ("train_dia3_utt2", 0),
        ("train_dia3_utt3", 2),
    ]
    assert few.notes("train") == (
        "1 rows 'neutral' left out: the model has no class for neutral",
        "1 rows 'surprise' left out: the model has no class for surprise",
    )
    assert [tuple(x) for x in few.rows.labels("train")] == [
        ("neutral", 1, None, "the model has no class for neutral"),
        ("surprise", 1, None, "the model has no class for surprise"),
        ("sadness", 1, "sad", ""),
        ("joy", 1, "happy", ""),
        ("anger", 1, "angry", ""),
    ]


def test_rows_left_out_are_still_what_others_hear(corpus):
    samples = opened(corpus, labels=("sad", "angry"), context_turns=1).split("train")
    assert samples[-1].context == (("Joey", "Well, you’ve won!"),)


def test_labels_that_express_nothing_are_refused(corpus):
    message = refusal(corpus, labels=("positive", "negative"))
    assert message == "the labels positive, negative express none of MELD's; see --labels"


def test_the_tables_may_lie_in_their_splits_folders_and_clips_beside_them(corpus):
    for own in ("train", "dev", "test"):
        (corpus / f"{own}_sent_emo.csv").rename(corpus / own / f"{own}_sent_emo.csv")
    before = opened(corpus).split("train")
    (corpus / "train" / "train_splits").rename(corpus / "train_splits")
    after = opened(corpus).split("train")
    assert [s.id for s in before] == [s.id for s in after]
    assert after[0].cells["video"] == corpus / "train_splits" / "dia1_utt0.mp4"


def test_without_clips_there_is_text_and_a_reason(corpus):
    (corpus / "train" / "train_splits").rename(corpus / "elsewhere")
    first = opened(corpus).split("train")[0]
    assert first.cells == {"text": "It’s Monday.", "audio": None, "video": None}
    assert first.absent["video"] == "no folder train/train_splits"
    message = refusal(corpus, modalities=("audio", "video"))
    assert message == f"no folder train/train_splits in {corpus}; without clips MELD has text only"


def test_voice_alone_needs_no_picture(corpus):
    first = opened(corpus, modalities=("audio",)).split("train")[0]
    assert first.cells == {"audio": corpus / "train" / "train_splits" / "dia1_utt0.mp4"}


# what is refused


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (f"6,a,Ross,joyful,positive,7,0,{TIMES}", "unknown label 'joyful', did you mean 'joy'? MELD has neutral, "),
        (f"6,a,Ross,,positive,7,0,{TIMES}", "unknown label ''"),
        (f"6,a,Ross,joy,positive,seven,0,{TIMES}", "Dialogue_ID 'seven' is not a number"),
        (f"6,a,Ross,joy,positive,7,-1,{TIMES}", "Utterance_ID '-1' is not a number"),
        (f"6,a,Ross,joy,positive,../../7,0,{TIMES}", "Dialogue_ID '../../7' is not a number"),
        (f"6,Well, no,Ross,joy,positive,7,0,{TIMES}", "more cells than columns; quote texts with commas"),
        (f"6,a,Ross,joy,positive,3,2,{TIMES}", "dia3_utt2 is there already, in line 2"),
    ],
)
def test_a_bad_row_is_one_line_with_its_number(corpus, row, reason):
    path = corpus / "train_sent_emo.csv"
    path.write_bytes(table(*TRAIN, row))
    assert refusal(corpus).startswith(f"{path} line 7: {reason}")


def test_a_missing_table_is_named_with_where_it_may_lie(corpus):
    (corpus / "dev_sent_emo.csv").unlink()
    path = corpus / "dev_sent_emo.csv"
    assert refusal(corpus, "val") == (
        f"{path}: no such file; MELD's folder holds dev_sent_emo.csv, or dev/dev_sent_emo.csv"
    )


def test_a_table_of_something_else_is_told_by_its_columns(corpus):
    (corpus / "dev_sent_emo.csv").write_text("text,emotion\nhi,joy\n")
    message = refusal(corpus, "val")
    assert message.endswith(
        "found columns text, emotion; missing Utterance, Speaker, Emotion, Dialogue_ID, Utterance_ID"
    )


def test_a_bad_first_row_does_not_hide_missing_columns(corpus):
    (corpus / "dev_sent_emo.csv").write_text("text,emotion\nWell, no,joy\nhi,joy\n")
    with pytest.raises(ValueError, match="found columns text, emotion; missing Utterance"):
        list(read_table(corpus / "dev_sent_emo.csv"))


def test_feature_encoders_have_nothing_to_read_here(corpus):
    message = refusal(corpus, audio_encoder="features")
    assert message == "MELD has no published audio features here; use compact or pretrained"


def test_a_clip_that_leads_out_of_the_folder_is_refused_unless_allowed(corpus, tmp_path):
    (tmp_path / "secret.mp4").write_bytes(b"x")
    clip = corpus / "train" / "train_splits" / "dia1_utt0.mp4"
    clip.unlink()
    clip.symlink_to(tmp_path / "secret.mp4")
    assert "leads outside" in refusal(corpus)
    allowed = MeldRows(root=corpus, config=ModelConfig(), allow_outside=tmp_path)
    assert allowed.read("train", labelled=True)[0].cells["video"] == (tmp_path / "secret.mp4").resolve()


# a made-up corpus with real clips


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("meld") / "made"
    defects = ["missing_clip", "corrupt_clip", "extra_clip"]
    assert main(["sample-corpus", str(root), "--layout", "meld", "--clips", "12", "--defects", *defects]) == 0
    return root


def test_the_made_up_corpus_reads_back_as_it_was_written(made):
    read = {s.id: s for split in ("train", "val") for s in opened(made).split(split)}
    own = {"train": "train", "val": "dev"}
    planned = {f"{own[x.split]}_{x.name}": x for x in script(0, 12) if x.split in own}
    assert read.keys() == planned.keys()
    for name, line in planned.items():
        assert read[name].cells["text"] == line.clip.text
        assert read[name].group == line.speaker
        assert read[name].label == list(ModelConfig().labels).index(line.clip.emotion)
        there = None if name == "dev_dia0_utt1" else f"{line.name}.mp4"
        assert getattr(read[name].cells["video"], "name", None) == there


def test_its_clips_are_films_with_six_channels_that_can_be_heard_and_seen(made):
    import av

    clip = made / "test" / "output_repeated_splits_test" / "dia0_utt0.mp4"
    with av.open(str(clip)) as film:
        (sound,) = film.streams.audio
        assert (sound.codec_context.name, sound.rate, sound.channels) == ("aac", 48_000, 6)
        assert film.streams.video[0].codec_context.name == "h264"
    with MediaReader() as reader:
        heard, seen = reader.both(clip, max_frames=3, size=32)
    assert 1.0 < len(heard.samples) / 16_000 < 8.0
    assert abs(heard.samples).max() > 0.02
    assert len(seen.crops) == 3


def test_the_same_seed_gives_the_same_dialogues_and_another_one_others():
    assert script(0, 24) == script(0, 24)
    assert script(0, 24) != script(1, 24)
    sizes = {split: [x.split for x in script(0, 48)].count(split) for split in ("train", "val", "test")}
    assert sizes == {"train": 28, "val": 8, "test": 12}


def test_no_two_classes_of_a_made_up_split_could_be_taken_for_each_other_by_an_even_spread():
    """Weighted and macro means differ only where classes do: five, two and one of a dozen."""
    counts = Counter(x.emotion for x in script(0, 48) if x.split == "test")
    assert counts == {"neutral": 5, "joy": 2, "surprise": 1, "anger": 1, "sadness": 1, "disgust": 1, "fear": 1}


@pytest.mark.parametrize(
    ("settings", "reason"),
    [({"clips": 11}, "at least 12"), ({"defects": ("gaps",)}, "unknown defect 'gaps'"), ({"seed": -1}, "at least 0")],
)
def test_settings_out_of_range_are_refused_before_anything_is_made(settings, reason, tmp_path):
    with pytest.raises(ValueError, match=reason):
        make_sample_meld(tmp_path / "new", **settings)
    assert not (tmp_path / "new").exists()


def test_a_folder_with_something_in_it_is_left_alone(made):
    with pytest.raises(ValueError, match="is not empty"):
        make_sample_meld(made, clips=12)


# the whole way


TREE = {
    "model": {"encoder_dim": 8, "fusion_hidden_size": 8, "fusion_heads": 2, "fusion_depth": 1, "video_max_frames": 2},
    "training": {"num_epochs": 1, "batch_size": 4},
}


TAUGHT = ["happy", "surprise", "neutral"]  # the classes that a training row of twelve clips is


def config(root, *, labels=TAUGHT, **data) -> Config:
    model = {**TREE["model"], "fusion_type": "late", "labels": labels}
    section = {"dataset": "meld", "data_root": str(root), "cache": False, "workers": 1, **data}
    return parse({**TREE, "model": model, "data": section}, "test")


def test_classes_that_no_training_row_is_are_named_before_a_clip_is_read(made, tmp_path):
    with pytest.raises(ValueError, match=r"no row is sad, angry, fear, disgust, .* --labels happy surprise neutral"):
        run(config(made, labels=list(ModelConfig().labels)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_training_tells_of_missing_clips_and_stops_at_a_broken_one(made, tmp_path):
    with pytest.raises(ValueError, match=r"train_sent_emo.csv line 4: .*dia0_utt2\.mp4: "):
        run(config(made), tmp_path / "run")
    told = Onlooker()
    train(config(made, skip_unreadable=True), tmp_path / "run", resume=False, overwrite=False, reporter=told)
    said = [line for line in told.said if line.startswith(("train:", "val:"))]
    assert said == [
        "train: 4 utterances; audio missing in 1 (unreadable 1); video missing in 1 (unreadable 1)",
        "val: 4 utterances; audio missing in 1 (no such clip 1); video missing in 1 (no such clip 1)",
        "val: 4 labelled rows: which epoch is best is chosen on these rows, and says little",
    ]


def test_a_model_with_fewer_classes_is_scored_on_what_it_can_say_and_the_report_tells_the_rest(
    made, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(report, "pictures_of", lambda *_: ())
    settings = config(made, labels=["happy", "neutral"], skip_unreadable=True)
    run(settings, tmp_path / "run")
    metrics = evaluate(tmp_path / "run" / "best_model", settings.data, tmp_path / "out", Onlooker())
    truth = [x.emotion for x in script(0, 12) if x.split == "test"]
    kept = [e for e in truth if e in ("joy", "neutral")]
    assert len(kept) < len(truth) == 4
    assert metrics["all"]["n"] == len(kept)
    written = json.loads((tmp_path / "out" / "metrics.json").read_text())
    protocol = written["run"]["protocol"]
    assert (protocol["dataset"], protocol["rows_left_out"]) == ("meld", len(truth) - len(kept))
    assert protocol["labels"]["neutral"] == {
        "name": "neutral",
        "rows": truth.count("neutral"),
        "read_as": "neutral",
        "reason": "",
    }
    lost = next(e for e in truth if e not in kept)
    note = f"{truth.count(lost)} rows {lost!r} left out: the model has no class for {lost}"
    assert note in written["notes"]
    report.print_report(metrics, Console())
    assert "left out: the model has no" in capsys.readouterr().out


def test_the_command_trains_and_scores(made, tmp_path, capsys):
    flags = ["--dataset", "meld", "--data_root", str(made), "--no_cache", "--workers", "1"]
    small = ["--encoder_dim", "8", "--fusion_hidden_size", "8", "--fusion_heads", "2", "--num_epochs", "1"]
    small += ["--labels", *TAUGHT]
    assert main(["train", *flags, *small, "--modalities", "text", "--output_dir", str(tmp_path / "run")]) == 0
    assert f"--data_root {made} --dataset meld" in capsys.readouterr().out
    model = str(tmp_path / "run" / "best_model")
    results = str(tmp_path / "out")
    assert main(["evaluate", *flags, "--model_path", model, "--output_dir", results, "--no_pictures"]) == 0
    scores = json.loads((tmp_path / "out" / "metrics.json").read_text())["all"]
    assert scores["n"] == 4
    assert {"weighted_f1", "accuracy", "macro_f1", "per_class"} <= scores.keys()


def test_defects_are_for_the_meld_layout(tmp_path, capsys):
    assert main(["sample-corpus", str(tmp_path / "x"), "--defects", "gap"]) == 2
    assert "--defects needs --layout meld" in capsys.readouterr().err

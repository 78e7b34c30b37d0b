"""`emobraid extract` and `emobraid doctor cache`: what frozen encoders give is made once, and can be checked."""

import csv
import os
import shutil

import pytest
import torch

from corpora import clip_corpus
from emobraid.cli import main
from emobraid.config import parse
from emobraid.data.cache import TensorCache
from emobraid.data.extraction import AGREE, difference, extract
from emobraid.encoders.audio import PretrainedAudio
from emobraid.encoders.text import PretrainedText
from emobraid.encoders.video import PretrainedVideo
from emobraid.media import MediaReader

SMALL = ["--fusion_type", "late", "--fusion_hidden_size", "8", "--fusion_heads", "2", "--encoder_dim", "8"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root = clip_corpus(tmp_path_factory.mktemp("clips") / "data")
    for path in root.rglob("*.*"):  # files that were written a moment ago are hashed each time
        os.utime(path, (1e9, 1e9))
    return root


@pytest.fixture
def flags(hub, corpus, tmp_path):
    """What names the data, the tiny encoders and a cache of this test's own."""
    return [
        *("--config", "pretrained", "--data_root", str(corpus), "--cache_dir", str(tmp_path / "cache")),
        *("--text_model_name", str(hub["bert"]), "--audio_model_name", str(hub["wav2vec2-group"])),
        *("--video_model_name", str(hub["vit"]), "--video_max_frames", "4", "--workers", "1"),
        *("--labels", "happy", "sad", "angry"),
    ]


def entries(tmp_path):
    with TensorCache(tmp_path / "cache") as cache:
        return {kept.key: kept for kept in cache.entries()}


def test_extraction_fills_the_cache_and_says_how_much_it_takes(flags, tmp_path, capsys):
    assert main(["extract", *flags]) == 0
    told = capsys.readouterr().out
    assert [word.split("/")[0] for word in told.split() if word.startswith(("audio/", "text/", "video/"))] == [
        "audio",
        "text",
        "video",
    ]
    # three classes' words, three tones, one face; text of train and val is the same
    assert sorted(kept.group.split("/")[0] for kept in entries(tmp_path).values()) == [
        *["audio"] * 3,
        *["text"] * 3,
        "video",
    ]


def test_a_second_extraction_decodes_and_encodes_nothing(flags, monkeypatch):
    main(["extract", *flags])
    for owner, name in (
        *((MediaReader, n) for n in ("audio", "faces")),
        *((encoder, "stem") for encoder in (PretrainedText, PretrainedAudio, PretrainedVideo)),
    ):
        monkeypatch.setattr(owner, name, _refuse)
    assert main(["extract", *flags]) == 0


def _refuse(*_, **__):
    raise AssertionError("was to come from the cache")


def test_a_second_training_opens_no_media_file(flags, tmp_path, monkeypatch):
    run = ["train", *flags, *SMALL, "--num_epochs", "1", "--output_dir"]
    assert main([*run, str(tmp_path / "first")]) == 0
    opened = []
    monkeypatch.setattr(MediaReader, "audio", _refuse)
    monkeypatch.setattr(MediaReader, "faces", _refuse)
    _watch(opened)
    assert main([*run, str(tmp_path / "second")]) == 0
    seen, opened[:] = [p for p in opened if p.endswith((".wav", ".mp4"))], []
    assert seen == []
    first, second = ((tmp_path / n / "metrics.jsonl").read_text() for n in ("first", "second"))
    assert first == second


_WATCHED: list[list[str]] = []


def _watch(opened):
    """Every path that this process opens from here on; a hook cannot be taken away again, so there is one."""
    if not _WATCHED:
        import sys

        sys.addaudithook(lambda event, args: _WATCHED[-1].append(str(args[0])) if event == "open" else None)
    _WATCHED.append(opened)


def test_the_test_split_can_be_extracted_without_its_labels(flags, corpus, tmp_path, capsys):
    root = tmp_path / "sealed"
    shutil.copytree(corpus, root)
    with (root / "test.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    for row in rows[1:]:
        row[-1] = "no emotion of this corpus"  # reading it would be refused
    with (root / "test.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    place = flags.index("--data_root") + 1
    assert main(["extract", *flags[:place], str(root), *flags[place + 1 :], "--splits", "test"]) == 0
    assert "test: 3 utterances" in capsys.readouterr().err


def test_the_doctor_finds_that_all_agree_and_exits_0(flags, capsys):
    main(["extract", *flags])
    capsys.readouterr()
    assert main(["doctor", "cache", *flags, "--entries", "99"]) == 0
    told = capsys.readouterr().out
    # every cell of the twelve rows: words and a tone in each, a face in seven; equal cells share an entry
    assert told.startswith("31 entries made again, largest relative difference")


def test_the_doctor_tells_of_a_wrong_entry_and_exits_1(flags, tmp_path, capsys):
    main(["extract", *flags])
    with TensorCache(tmp_path / "cache") as cache:
        key, kept = next((k, e) for k, e in entries(tmp_path).items() if e.group.startswith("audio"))
        right = cache.get(key)[0].clone()
        cache.forget(kept.group)
        cache.put(key, right * 1.5, group=kept.group)
    capsys.readouterr()
    assert main(["doctor", "cache", *flags, "--entries", "99"]) == 1
    told = capsys.readouterr()
    assert "audio: kept and made again differ by 5.0e-01" in told.err
    assert "differ, --clear deletes the cache" in told.out


def test_the_doctor_deletes_all_that_is_kept(flags, tmp_path, capsys):
    main(["extract", *flags])
    assert main(["doctor", "cache", *flags, "--clear"]) == 0
    assert "7 entries deleted" in capsys.readouterr().out
    assert entries(tmp_path) == {}
    assert main(["doctor", "cache", *flags]) == 0
    assert "nothing is kept" in capsys.readouterr().out


def test_what_was_done_before_an_unreadable_file_is_kept(flags, corpus, tmp_path, capsys):
    root = tmp_path / "broken"
    shutil.copytree(corpus, root)
    (root / "audio" / "angry.wav").write_text("no sound")
    place = flags.index("--data_root") + 1
    assert main(["extract", *flags[:place], str(root), *flags[place + 1 :]]) == 2
    assert "train.csv line 4: " in capsys.readouterr().err
    assert main(["extract", *flags[:place], str(root), *flags[place + 1 :], "--skip_unreadable"]) == 0


def test_nothing_to_extract_is_one_line(tmp_path, capsys):
    flags = [f"--{m}_encoder=features" for m in ("text", "audio", "video")]
    assert main(["extract", *flags, "--data_root", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "emobraid: all encoders read published features, which are not cached\n"
    with pytest.raises(ValueError, match="nothing to fill"):
        extract(parse({"data": {"cache": False}}, "x"), ["train"], None)  # type: ignore[arg-type]


def test_the_difference_is_relative_to_what_was_made_again():
    made = torch.tensor([[3.0, 4.0]])
    assert difference(made, made) == 0
    assert difference(torch.tensor([[3.0, 4.5]]), made) == pytest.approx(0.1)
    assert difference(torch.zeros(2, 2), made) == float("inf")
    assert difference(made.half() * 1.0005, made) < AGREE

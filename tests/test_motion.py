"""Motion capture: read from text as it is recorded, brought to one rate, and encoded whatever was not seen."""

from pathlib import Path

import numpy as np
import pytest
import torch

from corpora import Onlooker, feature_config, run
from emobraid import encoders
from emobraid.checkpoint import load_model
from emobraid.cli import main
from emobraid.config import MODALITIES, ModelConfig
from emobraid.data.corpus import Sample
from emobraid.data.csv import read_unlabelled
from emobraid.data.features import FeatureCell
from emobraid.data.mocap import LONGEST, PARTS, RATE, WIDTH, MotionCell, motion_cell, recorded, resampled
from emobraid.data.preparer import Preparer
from emobraid.data.shelf import Shelf
from emobraid.encoders.motion import MOCAP_WIDTH, CompactMotion
from emobraid.media import MediaReader
from emobraid.recognizer import Recognizer
from emobraid.stream import Stream, pad

HEADER = "Frame# Time A A A\n x y z\n"


def recording(path, rows, *, header=HEADER, start=0.0, rate=120):
    """One line for each row of values, `rate` a second."""
    lines = [f"{i} {start + i / rate:.5f} {' '.join(map(str, row))}" for i, row in enumerate(rows)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(header + "".join(f"{line}\n" for line in lines), encoding="ascii")
    return path


# reading


def test_values_are_averaged_in_steps_of_a_twentieth_of_a_second_over_what_was_seen(tmp_path):
    rows = [(i, 10.0, "NaN") for i in range(12)]
    rows[3] = (3, "NaN", "NaN")
    rows[4] = (4, "inf", 7.0)
    values = MotionCell((recording(tmp_path / "a.txt", rows),)).load()
    # six frames of 120 a second in each step: 0 to 5 and 6 to 11
    assert values.shape == (2, 3)
    assert values[:, 0].tolist() == [2.5, 8.5]
    assert values[:, 1].tolist() == [10.0, 10.0]
    assert values[0, 2] == 7.0
    assert np.isnan(values[1, 2])


def test_the_clock_is_the_one_in_the_file_and_gaps_are_not_seen():
    times = np.array([5.0, 5.02, 5.21])
    values = resampled(times, np.array([[1.0], [3.0], [8.0]], np.float32), 5.0, 5)
    assert values[[0, 4], 0].tolist() == [2.0, 8.0]
    assert np.isnan(values[1:4]).all()


def test_the_three_files_of_a_turn_stand_side_by_side_and_a_missing_one_is_not_seen(tmp_path):
    widths = list(PARTS.values())
    assert sum(widths) == WIDTH == MOCAP_WIDTH == 189
    files = [recording(tmp_path / f"{i}.txt", [[i + 1] * w] * 24, start=3.0) for i, w in enumerate(widths)]
    whole = MotionCell(tuple(files)).load()
    assert whole.shape == (4, 189)
    assert [set(part.flatten().tolist()) for part in np.split(whole, [165, 171], axis=1)] == [{1.0}, {2.0}, {3.0}]
    lacking = MotionCell((files[0], None, files[2])).load()
    assert lacking.shape == (4, 189)
    assert np.isnan(lacking[:, 165:171]).all()
    assert (lacking[:, :165] == 1).all()


def test_a_stretch_of_a_dialogue_is_what_was_recorded_in_it(tmp_path):
    path = recording(tmp_path / "a.txt", [(i, i, i) for i in range(600)])
    times, values = recorded(path, 2.0, 3.0)
    assert (times[0], len(times), values[0, 0], values[-1, 0]) == (2.0, 120, 240, 359)
    assert MotionCell((path,), 2.0, 3.0).load().shape == (RATE, 3)
    assert len(MotionCell((path,), 7.0, 8.0).load()) == 0


def test_a_last_line_that_was_cut_off_is_left_out(tmp_path):
    path = recording(tmp_path / "a.txt", [(1, 2, 3)] * 7)
    path.write_text(path.read_text()[:-4])
    assert len(recorded(path)[0]) == 6


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("hello\nthere\n1 2 3\n", "no motion capture: its first line begins with 'hello\\\\n', not Frame#"),
        (HEADER + "0 0.0 1 2 3\n1 0.1 1 2\n", "line 4: 2 values, the lines before have 3"),
        (HEADER + "0 0.0 1 2 x\n", "holds something that is no number among its values"),
        (HEADER + "0 zero 1 2 3\n", "line 3: '0' and 'zero' are no frame and time"),
        (HEADER + "0 nan 1 2 3\n", "holds a time that is no number"),
        (HEADER + "0 0.0\n", "line 3: no frame, time and values"),
        (None, "no such file or directory"),
    ],
)
def test_a_file_that_is_no_recording_is_one_line(tmp_path, text, reason):
    path = tmp_path / "a.txt"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=reason) as caught:
        MotionCell((path,)).load()
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_motion_over_the_limit_is_refused(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(HEADER + f"0 0.0 1 2 3\n1 {LONGEST + 1} 1 2 3\n")
    with pytest.raises(ValueError, match="601 s of motion, the limit is 600 s"):
        MotionCell((path,)).load()


def test_a_cell_of_a_table_is_a_recording_or_an_array():
    assert motion_cell("a/b.txt") == MotionCell((Path("a/b.txt"),))
    assert isinstance(motion_cell("f.npz#motion[3]"), FeatureCell)


# encoding


def raw(steps, width=3, *, seed=0):
    return np.random.default_rng(seed).normal(size=(steps, width)).astype(np.float32)


def test_what_was_not_seen_is_zero_and_says_so():
    values = np.array([[1.0, np.nan, 3.0], [np.nan, np.nan, 5.0]], np.float32)
    prepared = CompactMotion(3, 8).prepare(values)
    assert prepared.tolist() == [[1, 0, 3, 1, 0, 1], [0, 0, 5, 0, 0, 1]]


def test_nothing_seen_at_all_is_a_missing_modality(tmp_path):
    encoder = CompactMotion(3, 8)
    assert encoder.prepare(np.full((4, 3), np.nan)).shape == encoder.absent().shape == (0, 6)
    path = recording(tmp_path / "a.txt", [("NaN", "NaN", "NaN")] * 12)
    sample = Sample(id="a", group="", cells={"motion": MotionCell((path,))}, sound_from_video=False, label=None)
    with MediaReader() as reader:
        made = Preparer({"motion": encoder}, reader, max_frames=1).prepared("motion", sample)
    assert (len(made.tensor), made.note) == (0, "no marker was seen")


def test_another_number_of_values_is_refused():
    with pytest.raises(ValueError, match=r"motion has shape \(4, 5\), this model reads 3 values a frame"):
        CompactMotion(3, 8).prepare(raw(4, 5))


def test_values_are_standardised_by_what_was_seen_in_training():
    encoder = CompactMotion(2, 8)
    first = np.array([[1.0, np.nan], [3.0, 4.0]], np.float32)
    second = np.array([[5.0, 4.0]], np.float32)
    encoder.fit([encoder.prepare(first), encoder.prepare(second), encoder.absent()])
    assert encoder.mean.tolist() == [3.0, 4.0]
    assert encoder.scale.tolist() == [2.0, 1.0]  # sample spread of 1, 3, 5; a constant stays zero
    encoder.fit([encoder.absent()])
    assert encoder.scale.tolist() == [1.0, 1.0]


def test_padding_and_batch_mates_change_nothing():
    torch.manual_seed(0)
    encoder = CompactMotion(3, 8).eval()
    some = [encoder.prepare(raw(n, seed=n)) for n in (7, 16, 1)]
    together = encoder(pad([*some, encoder.absent()]))
    assert together.mask.sum(dim=1).tolist() == [2, 4, 1, 0]  # twenty a second become five
    for i, one in enumerate(some):
        alone = encoder(pad([one]))
        steps = alone.values.shape[1]
        torch.testing.assert_close(together.values[i, :steps], alone.values[0], rtol=1e-4, atol=1e-5)


def test_what_an_unseen_marker_holds_changes_nothing():
    torch.manual_seed(0)
    encoder = CompactMotion(3, 8).eval()
    prepared = encoder.prepare(np.array([[1.0, np.nan, 3.0]] * 6, np.float32))
    other = prepared.clone()
    other[:, 1] = 1e6
    torch.testing.assert_close(encoder(pad([prepared])).values, encoder(pad([other])).values)
    seen = prepared.clone()
    seen[:, 4] = 1.0
    assert not torch.allclose(encoder(pad([prepared])).values, encoder(pad([seen])).values)


def test_gradients_are_finite_with_everything_missing():
    encoder = CompactMotion(3, 8)
    stream = encoder(pad([encoder.absent(), encoder.prepare(raw(5))]))
    stream.values.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in encoder.parameters())


def test_augmentation_keeps_what_was_not_seen_unseen():
    encoder = CompactMotion(40, 8)
    values = raw(6, 40)
    values[:, :5] = np.nan
    stream = pad([encoder.prepare(values)])
    varied = encoder.augment(stream, torch.Generator().manual_seed(0)).values[0]
    assert (varied[:, :5] == 0).all()
    seen = varied[:, 40:]
    assert (seen[:, :5] == 0).all()
    lost = 1 - seen[0, 5:].mean().item()
    assert 0 < lost < 0.4  # about one in ten, each for the whole utterance
    assert (seen == seen[:1]).all()
    assert (varied[:, :40][seen == 0] == 0).all()


def test_motion_is_a_modality_that_is_asked_for():
    assert MODALITIES == ("text", "audio", "video", "motion")
    assert ModelConfig().modalities == ("text", "audio", "video")
    config = ModelConfig(modalities=("text", "motion"), motion_width=12)
    assert encoders.build("motion", config).width == 12
    assert encoders.build("motion", ModelConfig(modalities=("motion",))).width == 189
    with pytest.raises(ValueError, match="motion_encoder"):
        ModelConfig(motion_encoder="pretrained")


def test_what_is_kept_of_a_recording_has_a_name_of_its_content_and_its_stretch(tmp_path):
    path = recording(tmp_path / "a.txt", [(1, 2, 3)] * 12)
    same = recording(tmp_path / "b.txt", [(1, 2, 3)] * 12)
    other = recording(tmp_path / "c.txt", [(1, 2, 4)] * 12)
    cells = [MotionCell((path,)), MotionCell((same,)), MotionCell((other,)), MotionCell((path,), 0.0, 1.0)]
    cells += [MotionCell((path, None)), MotionCell((None, path))]
    with Shelf(tmp_path / "cache", {"motion": CompactMotion(3, 8)}, max_frames=1) as shelf:
        samples = [Sample(id="a", group="", cells={"motion": c}, sound_from_video=False, label=None) for c in cells]
        keys = [shelf.key("motion", sample) for sample in samples]
        assert keys[0] == keys[1] != ""
        assert len(set(keys)) == 5
        (tmp_path / "c.txt").unlink()
        assert shelf.key("motion", samples[2]) == ""


# the whole way


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Rows of motion that go up, down or nowhere; one has no recording."""
    root = tmp_path_factory.mktemp("motion")
    for split, count in {"train": 9, "val": 6, "test": 3}.items():
        lines = ["text,motion_path,emotion"]
        for i in range(count):
            way = i % 3 - 1
            rows = [(way * n, i, "NaN") for n in range(60)]
            recording(root / "motion" / f"{split}{i}.txt", rows)
            cell = "" if i == 4 else f"motion/{split}{i}.txt"
            lines.append(f"number {i},{cell},{('sad', 'angry', 'happy')[i % 3]}")
        (root / f"{split}.csv").write_text("\n".join(lines) + "\n")
    return root


def config(root, **changed):
    return feature_config(
        root, modalities=["text", "motion"], audio_encoder="compact", video_encoder="compact", **changed
    )


@pytest.fixture(scope="module")
def trained(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    told = Onlooker()
    run(config(corpus), folder, reporter=told)
    assert "train: 9 utterances; motion missing in 1 (not given 1)" in told.said
    return folder / "best_model"


def test_the_width_is_found_in_the_training_data_and_kept_with_the_model(trained):
    model, settings, _ = load_model(trained)
    assert settings.model.motion_width == 3
    assert model.by_modality()["motion"].width == 3


def test_a_recording_an_array_and_a_row_of_a_table_are_read_alike(trained, corpus, capsys):
    path = corpus / "motion" / "test0.txt"
    with Recognizer.from_pretrained(trained) as recognizer:
        from_file = recognizer.predict(motion=path)
        from_array = recognizer.predict(motion=MotionCell((path,)).load())
        assert from_file.probabilities == pytest.approx(from_array.probabilities)
        assert list(from_file.per_modality) == ["motion"]
        both = recognizer.predict(motion=path, text="number 0")
        assert list(both.contributions) == ["text", "motion"]
        with pytest.raises(ValueError, match="this model reads 3 values a frame"):
            recognizer.predict(motion=np.zeros((4, 7)))
    assert main(["predict", "--model_path", str(trained), "--motion", str(path)]) == 0
    assert from_file.emotion in capsys.readouterr().out


def test_a_table_names_recordings_and_arrays(corpus, tmp_path):
    np.savez(tmp_path / "f.npz", motion=np.zeros((2, 5, 3)))
    recording(tmp_path / "a.txt", [(1, 2, 3)] * 6)
    (tmp_path / "t.csv").write_text("motion_path\na.txt\nf.npz#motion[1]\n../secret.txt\n")
    good, array, bad = read_unlabelled(tmp_path / "t.csv", config(corpus).model)
    assert good.cells["motion"] == MotionCell((tmp_path / "a.txt",))
    assert array.cells["motion"].load().shape == (5, 3)
    assert "leads outside" in bad.reason


def test_published_motion_features_are_read_by_the_feature_encoder(corpus, tmp_path):
    root = tmp_path / "features"
    root.mkdir()
    np.savez(root / "f.npz", motion=np.random.default_rng(0).normal(size=(6, 4, 5)))
    for split in ("train", "val"):
        rows = "".join(f"a,f.npz#motion[{i}],{('sad', 'angry', 'happy')[i % 3]}\n" for i in range(6))
        (root / f"{split}.csv").write_text("text,motion_path,emotion\n" + rows)
    run(config(root, motion_encoder="features"), tmp_path / "run")
    _, settings, _ = load_model(tmp_path / "run" / "best_model")
    assert settings.model.motion_width == 5


def test_without_any_motion_in_training_it_is_told(corpus, tmp_path):
    for split in ("train", "val"):
        (tmp_path / f"{split}.csv").write_text("text,motion_path,emotion\na,,sad\nb,,angry\nc,,happy\n")
    run(config(tmp_path), tmp_path / "run", reporter=(onlooker := Onlooker()))
    assert "no training row has motion: it cannot be learnt, so the model is made without it" in onlooker.said
    assert load_model(tmp_path / "run" / "best_model")[1].model.modalities == ("text",)


def test_the_model_tells_up_from_down(corpus, tmp_path):
    """Motion alone, the words taken away: thirty epochs on nine rows are enough to learn them by heart."""
    settings = feature_config(
        corpus, modalities=["motion"], audio_encoder="compact", video_encoder="compact", num_epochs=30, patience=30
    )
    outcome = run(settings, tmp_path / "run")
    assert outcome.best_macro_f1 > 0.6


def test_a_stream_is_only_read_where_it_is_real():
    encoder = CompactMotion(3, 8).eval()
    stream = pad([encoder.prepare(raw(6))])
    longer = Stream(torch.cat([stream.values, torch.full((1, 5, 6), 9.0)], dim=1), torch.arange(11)[None] < 6)
    assert torch.allclose(encoder(longer).values[:, :2], encoder(stream).values, atol=1e-5)

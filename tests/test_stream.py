"""How data travels: a missing modality is a sequence of length zero."""

import pytest
import torch

from emobraid.stream import Batch, Stream, drop_modalities, keep_only, pad, present, subsets


def of_lengths(*lengths):
    return pad([torch.arange(1.0, n + 1)[:, None] for n in lengths])


def everyone(count):
    """Many utterances of one step."""
    return Stream(torch.zeros(count, 1, 1), torch.ones(count, 1, dtype=torch.bool))


def test_padding_lays_unequal_sequences_side_by_side():
    stream = pad([torch.tensor([[1.0, 2.0]]), torch.zeros(0, 2), torch.tensor([[3.0, 4.0], [5.0, 6.0]])])
    assert stream.mask.tolist() == [[True, False], [False, False], [True, True]]
    assert stream.values.tolist() == [[[1, 2], [0, 0]], [[0, 0], [0, 0]], [[3, 4], [5, 6]]]


def test_padding_keeps_the_type_of_its_sequences():
    frames = torch.zeros(2, 4, 4, dtype=torch.uint8)
    assert pad([frames, frames[:0]]).values.dtype == torch.uint8


def test_a_batch_without_anything_real_has_no_time():
    stream = pad([torch.zeros(0, 3), torch.zeros(0, 3)])
    assert stream.values.shape == (2, 0, 3)
    assert stream.present.tolist() == [False, False]


def test_presence_is_anything_real_at_all():
    mask = torch.tensor([[False, True], [False, False], [True, True]])
    assert Stream(torch.zeros(3, 2, 1), mask).present.tolist() == [True, False, True]


@pytest.mark.parametrize("index", [torch.tensor([0, 2]), torch.tensor([True, False, True])])
def test_rows_are_cut_to_their_own_longest(index):
    rows = of_lengths(1, 4, 2).rows(index)
    assert rows.mask.tolist() == [[True, False], [True, True]]
    assert rows.values[..., 0].tolist() == [[1, 0], [1, 2]]


def test_rows_keep_holes_and_everything_up_to_the_last_real_position():
    mask = torch.tensor([[False, True, False, True, False]])
    assert Stream(torch.zeros(1, 5, 1), mask).rows(torch.tensor([0])).mask.tolist() == [[False, True, False, True]]


def test_rows_without_anything_real_have_no_time():
    assert of_lengths(0, 3).rows(torch.tensor([0])).values.shape == (1, 0, 1)


@pytest.mark.parametrize("junk", [float("nan"), float("inf"), 1e9])
def test_blanked_is_zero_where_nothing_is_real_and_untouched_elsewhere(junk):
    mask = torch.tensor([[True, False]])
    assert Stream(torch.tensor([[[2.0, 3.0], [junk, junk]]]), mask).blanked().values.tolist() == [[[2, 3], [0, 0]]]


def test_blanked_fits_any_shape_and_type():
    mask = torch.tensor([[True, False]])
    assert Stream(torch.tensor([[7, 9]]), mask).blanked().values.tolist() == [[7, 0]]
    frames = Stream(torch.full((1, 2, 3, 3), 5, dtype=torch.uint8), mask).blanked().values
    assert frames.dtype == torch.uint8
    assert frames.flatten(2).tolist() == [[[5] * 9, [0] * 9]]


def test_presence_of_several_modalities_keeps_their_order():
    streams = {"audio": of_lengths(1, 0), "text": of_lengths(2, 3)}
    assert present(streams).tolist() == [[True, True], [False, True]]


def test_keep_only_makes_the_others_missing_and_leaves_the_input_alone():
    streams = {"text": of_lengths(2, 1), "audio": of_lengths(3, 3)}
    kept = keep_only(streams, ["audio"])
    assert present(kept).tolist() == [[False, True], [False, True]]
    assert kept["audio"] is streams["audio"]
    assert present(streams).all()


def test_modality_dropout_always_leaves_one_that_was_there():
    streams = {"text": of_lengths(*[1] * 200), "audio": of_lengths(*[1, 0] * 100), "video": of_lengths(*[0, 1] * 100)}
    dropped = present(drop_modalities(streams, 0.99, torch.Generator().manual_seed(1)))
    assert dropped.any(dim=1).all()
    assert not (dropped & ~present(streams)).any()
    # 0.99 leaves hardly more than the spared one
    assert 200 <= dropped.sum() < 220


def test_modality_dropout_spares_each_modality_about_equally_often():
    streams = {m: everyone(3000) for m in ("text", "audio", "video")}
    spared = present(drop_modalities(streams, 0.999, torch.Generator().manual_seed(2))).float().mean(dim=0)
    assert spared.tolist() == pytest.approx([1 / 3] * 3, abs=0.05)


def test_modality_dropout_hides_at_its_rate():
    streams = {m: everyone(4000) for m in ("text", "audio", "video")}
    there = present(drop_modalities(streams, 0.3, torch.Generator().manual_seed(3))).float().mean(dim=0)
    # hidden with 0.3, less a third of the 0.3^3 = 0.027 of rows where all would go and one is spared
    assert there.tolist() == pytest.approx([0.7 + 0.027 / 3] * 3, abs=0.025)


def test_modality_dropout_at_rate_zero_changes_nothing():
    streams = {"text": of_lengths(2, 0, 1), "audio": of_lengths(1, 1, 0)}
    dropped = drop_modalities(streams, 0.0, torch.Generator().manual_seed(4))
    assert all(dropped[m].mask.equal(streams[m].mask) for m in streams)


def test_modality_dropout_leaves_an_utterance_without_anything_as_it_is():
    streams = {"text": of_lengths(0, 1), "audio": of_lengths(0, 1)}
    assert not present(drop_modalities(streams, 0.5, torch.Generator()))[0].any()


def test_modality_dropout_keeps_values_and_the_rest_of_the_mask():
    streams = {"text": of_lengths(3, 2), "audio": of_lengths(2, 3)}
    dropped = drop_modalities(streams, 0.5, torch.Generator().manual_seed(5))
    for m, stream in dropped.items():
        assert stream.values is streams[m].values
        assert stream.mask.equal(streams[m].mask & stream.present[:, None])


def test_the_same_seed_drops_the_same_modalities():
    streams = {m: everyone(50) for m in ("text", "audio", "video")}
    first, again, other = (
        present(drop_modalities(streams, 0.5, torch.Generator().manual_seed(seed))) for seed in (6, 6, 7)
    )
    assert first.equal(again)
    assert not first.equal(other)


def test_subsets_go_from_single_modalities_to_all_together():
    assert subsets(["t", "a", "v"]) == [
        ("t",), ("a",), ("v",), ("t", "a"), ("t", "v"), ("a", "v"), ("t", "a", "v"),
    ]  # fmt: skip
    assert len(subsets("abcd")) == 15


def test_moving_a_batch_moves_every_part_of_it():
    batch = Batch(("a", "b"), {"text": of_lengths(1, 2)}, torch.eye(2)).to("meta")
    assert {batch.labels.device.type, *(t.device.type for t in batch.streams["text"])} == {"meta"}
    assert batch.ids == ("a", "b")

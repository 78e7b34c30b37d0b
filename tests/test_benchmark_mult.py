"""The benchmark compares equal work: the plain MulT with copied weights is `mult`, and its rows are one model."""

import json
import sys
from pathlib import Path

import pytest
import torch

from emobraid.fusion import FUSIONS
from emobraid.fusion.mult import MultFusion

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import fusion_step
from plain_mult import PlainMult, copy_weights

NAMES = ("text", "audio", "video")
SHAPES = {"text": (3, 8), "audio": (17, 8), "video": (40, 8)}
SETTINGS = {"depth": 2, "heads": 2, "dropout": 0.0}


def built(model, **changed):
    return model(NAMES, 8, 5, **{**SETTINGS, **changed})


@pytest.fixture
def streams():
    streams, _ = fusion_step.seeded_batch(SHAPES, 6, seed=1)
    return streams


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("heads", [1, 4])
def test_the_plain_mult_with_the_weights_of_ours_gives_the_same_outputs(depth, heads, streams):
    ours, plain = (built(model, depth=depth, heads=heads) for model in (MultFusion, PlainMult))
    plain.eval()  # no dropout on attention weights
    before = plain(streams)
    copy_weights(ours, plain)
    torch.testing.assert_close(ours(streams).logits, plain(streams), atol=1e-5, rtol=1e-4)
    assert not torch.allclose(before, plain(streams), atol=1e-2)


def test_the_plain_mult_with_the_weights_of_ours_gives_the_same_gradients(streams):
    ours, plain = built(MultFusion), built(PlainMult, attention_dropout=0.0)
    copy_weights(ours, plain)
    values = [s.values.requires_grad_() for s in streams.values()]
    weights = torch.randn(6, 5)
    found = torch.autograd.grad((ours(streams).logits * weights).sum(), values)
    expected = torch.autograd.grad((plain(streams) * weights).sum(), values)
    for gradient, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(gradient, wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("wide", [False, True])
def test_the_ways_of_calling_attention_give_one_output(wide, streams):
    models = [built(PlainMult, wide=wide, call=call).eval() for call in ("weights", "module", "sdpa")]
    for model in models[1:]:
        model.load_state_dict(models[0].state_dict())
    first, *others = (model(streams) for model in models)
    for logits in others:
        torch.testing.assert_close(logits, first, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("call", ["weights", "module", "sdpa"])
def test_attention_weights_are_dropped_in_training_only(call, streams):
    model = built(PlainMult, call=call, attention_dropout=0.5)
    assert not torch.equal(model(streams), model(streams))
    model.eval()
    assert torch.equal(model(streams), model(streams))


def test_self_attention_is_as_wide_as_all_pairs_together_in_the_paper():
    narrow, wide = built(PlainMult), built(PlainMult, wide=True)
    assert narrow.own["text"][0].attention.embed_dim == 8
    assert wide.own["text"][0].attention.embed_dim == 16
    assert wide.pairs["audio_to_text"][0].attention.embed_dim == 8
    assert sorted(wide.pairs) == [
        "audio_to_text", "audio_to_video", "text_to_audio", "text_to_video", "video_to_audio", "video_to_text"
    ]  # fmt: skip


def test_half_of_all_positions_are_real_in_arrays_of_the_published_shapes():
    streams, labels = fusion_step.seeded_batch(fusion_step.LONG, 8, seed=3)
    assert {m: tuple(s.values.shape) for m, s in streams.items()} == {
        "text": (8, 50, 768), "audio": (8, 375, 5), "video": (8, 500, 20)
    }  # fmt: skip
    lengths = {m: s.mask.sum(dim=1).tolist() for m, s in streams.items()}
    # (i + 1/2) / 8 of 50, rounded up
    assert sorted(lengths["text"]) == [4, 10, 16, 22, 29, 35, 41, 47]
    assert lengths["audio"] != sorted(lengths["audio"])
    assert labels.shape == (8,)
    again, _ = fusion_step.seeded_batch(fusion_step.LONG, 8, seed=3)
    other, _ = fusion_step.seeded_batch(fusion_step.LONG, 8, seed=4)
    assert torch.equal(again["video"].values, streams["video"].values)
    assert not torch.equal(other["video"].mask, streams["video"].mask)


def test_ratios_are_against_the_fastest_plain_row_of_each_kind():
    size = fusion_step.Size(fusion_step.SHORT, 4, 16, 1)
    seconds = {
        "mult": [0.2, 0.1, 0.4],
        "plain": [0.9, 0.8, 1.0],
        "plain, sdpa by hand": [0.4, 0.3, 0.9],
        "paper's width": [0.5, 0.45, 0.6],
    }
    lines = fusion_step.table(size, seconds).splitlines()
    assert lines[0] == "text 12x768, audio 38x5, video 12x20; batch 4, width 16, depth 1, 4 heads"
    assert lines[3].split() == ["plain", "800.0", "900.0", "8.00"]
    assert lines[-2] == "  mult is 3.00 times as fast (2.00 by medians) as the same function: plain, sdpa by hand"
    assert lines[-1] == "  mult is 4.50 times as fast (2.50 by medians) as the paper's widths: paper's width"


def test_the_quick_run_times_every_fusion_and_every_plain_row(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["fusion_step.py", "--quick", "--json", str(tmp_path / "out.json")])
    fusion_step.main()
    printed = capsys.readouterr().out
    (row,) = json.loads((tmp_path / "out.json").read_text())
    assert list(row["seconds"]) == [*FUSIONS, *fusion_step.SAME, *fusion_step.PAPER]
    assert all(len(rounds) == 1 and rounds[0] > 0 for rounds in row["seconds"].values())
    assert all(f"  {name} " in printed for name in row["seconds"])
    assert row["difference"] < 1e-4
    assert printed.count("mult is") == 2


def test_nothing_is_timed_when_the_functions_differ(monkeypatch, capsys):
    monkeypatch.setattr(fusion_step, "copy_weights", lambda ours, plain: None)
    monkeypatch.setattr(fusion_step, "race", lambda *_, **__: pytest.fail("timed all the same"))
    monkeypatch.setattr(sys, "argv", ["fusion_step.py", "--quick"])
    with pytest.raises(SystemExit) as stopped:
        fusion_step.main()
    assert stopped.value.code == 1
    assert "with the same weights differ by" in capsys.readouterr().err

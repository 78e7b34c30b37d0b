"""The course of a training, looked at: what reaches each part of the model, and the picture of it."""

import json

import pytest
import torch
from torch import nn

from corpora import feature_config, feature_corpus, run
from emobraid.evaluation import plots
from emobraid.training import curves
from emobraid.training.flow import EVERY, gradient_flow, part_of

pytest.importorskip("matplotlib")
from matplotlib.text import Text


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("curves")
    corpus = feature_corpus(folder / "data")
    outcome = run(feature_config(corpus, fusion_type="hierarchical", num_epochs=5, patience=5), folder / "run")
    return folder / "run", outcome


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("encoders.text.project.weight", "encoders.text"),
        ("projections.audio.0.bias", "projections.audio"),
        ("fusion.members.mult.head.weight", "fusion.members.mult"),
        ("fusion.meta.norm.weight", "fusion"),
        ("affect.read.0.weight", "affect"),
    ],
)
def test_a_weight_belongs_to_a_part_that_a_reader_knows(name, part):
    assert part_of(name) == part


def test_the_norm_of_a_part_is_that_of_all_its_gradients_together():
    model = nn.ModuleDict({"fusion": nn.Linear(2, 1), "affect": nn.Linear(2, 1)})
    model["fusion"].weight.grad = torch.tensor([[3.0, 0.0]])
    model["fusion"].bias.grad = torch.tensor([4.0])
    assert gradient_flow(model) == {"gradient/fusion": 5.0}  # the other part has none


def test_the_log_tells_every_tenth_step_what_reached_each_part(trained):
    folder, _ = trained
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    looked = {r["step"]: {k: v for k, v in r.items() if k.startswith("gradient/")} for r in lines if "lr" in r}
    assert {step for step, found in looked.items() if found} == {EVERY}  # of 15 steps
    found = looked[EVERY]
    assert {"gradient/encoders.audio", "gradient/projections.audio", "gradient/fusion.members.mult"} <= set(found)
    whole = next(r["grad_norm"] for r in lines if r["step"] == EVERY and "lr" in r)
    assert sum(v**2 for v in found.values()) ** 0.5 == pytest.approx(whole, rel=1e-4)


def test_a_picture_shows_losses_scores_rate_and_gradients_of_the_run(trained, monkeypatch):
    folder, outcome = trained
    figures = []
    real = plots._save
    monkeypatch.setattr(curves, "_save", lambda figure, path: (figures.append(figure), real(figure, path)))
    assert curves.draw(folder).read_bytes().startswith(b"\x89PNG")
    losses, scores, rates, flow = figures[0].axes
    assert [len(line.get_xdata()) for line in losses.lines] == [15, 5, 5]
    assert [len(line.get_xdata()) for line in rates.lines] == [15]
    shown = {text.get_text() for text in figures[0].findobj(Text)}
    assert {"training", "validation", "macro f1", "accuracy", "fusion.members.mult"} <= shown
    assert f"kept: epoch {outcome.best_epoch + 1}" in shown
    assert flow.get_yscale() == "log"
    assert len(scores.lines) == 3  # two scores, and where the kept one is


def test_a_run_that_goes_on_is_drawn_anew_after_a_pause(trained, monkeypatch):
    folder, _ = trained
    drawn = []
    monkeypatch.setattr(curves, "draw", drawn.append)
    clock = iter([0.0, 1.0, 31.0, 31.0, 40.0])
    monkeypatch.setattr(curves.time, "monotonic", lambda: next(clock))
    watcher = curves.Curves(folder)
    for _ in range(3):
        watcher.epoch(None, {})
    assert drawn == [folder]  # after 1 s nothing, after 31 s once, 9 s later nothing

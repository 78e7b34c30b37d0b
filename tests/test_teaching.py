"""The students' table and its picture, from results made up so that every cell can be worked out by hand."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from emobraid.evaluation import Predictions
from emobraid.study import teaching, teaching_plot
from emobraid.study.teaching import points, table
from emobraid.study.teaching_plot import Point, front, pareto
from emobraid.study.trial import Result


def result(name, seed, score, worst, ece, *, parameters, latency):
    """Two groups of two utterances, all read right."""
    logits = np.eye(2)[[0, 1, 0, 1]]
    return Result(
        name=name,
        seed=seed,
        figures={
            "all": {"macro_f1": score, "n": 4, "ece_after": ece},
            "subsets": {
                "text": {"n": 4, "macro_f1": worst},
                "audio": {"n": 0, "macro_f1": None},  # nobody has it
                "text+audio": {"n": 4, "macro_f1": score},
            },
        },
        parameters=parameters,
        training_seconds=1.0,
        latency_ms=latency,
        predictions=Predictions(
            ids=tuple("abcd"),
            classes=("x", "y"),
            labels=np.eye(2)[[0, 1, 0, 1]],
            logits={"text+audio": logits},
            present=np.ones((4, 2), bool),
            modalities=("text", "audio"),
            groups=("s", "s", "t", "t"),
        ),
    )


@pytest.fixture
def study():
    teacher = result("hierarchical", 0, 0.8, 0.5, 0.04, parameters=2000, latency=20.0)
    students = {
        "tiny": [
            result("tiny", s, f, w, e, parameters=100, latency=t)
            for s, f, w, e, t in ((0, 0.70, 0.40, 0.10, 2.0), (1, 0.74, 0.44, 0.20, 4.0))
        ],
        "tiny alone": [
            result("tiny alone", s, f, w, e, parameters=100, latency=t)
            for s, f, w, e, t in ((0, 0.60, 0.30, 0.30, 2.5), (1, 0.62, 0.34, 0.10, 1.5))
        ],
    }
    return teacher, students


def test_a_row_has_size_latency_score_calibration_and_the_worst_subset(study):
    made = table(*study)
    cells = [dict(zip(made.columns[1:], row[1:], strict=True)) for row in made.rows]
    assert [row[0] for row in made.rows] == ["teacher", "tiny", "tiny alone"]
    first = [made.rows[0][i] for i in range(1, 8)]
    assert first == ["2,000", "100.0 %", "20.0", "80.0", "100.0 %", "0.040", "50.0"]
    # means of 70 and 74, of .1 and .2, of 40 and 44; deviations of 4 / sqrt 2
    taught = [made.rows[1][i] for i in range(1, 8)]
    assert taught == ["100", "5.0 %", "3.0", "72.0 ± 2.8", "90.0 %", "0.150", "42.0 ± 2.8"]
    assert cells[2]["ms"] == "2.0"
    assert cells[2]["worst subset"] == "32.0 ± 2.8"


def test_the_front_is_what_nothing_cheaper_reaches():
    costs, scores = [5.0, 1.0, 2.0, 2.0, 3.0, 4.0], [9.0, 4.0, 6.0, 7.0, 7.0, 5.0]
    assert front(costs, scores) == [1, 3, 0]  # 3 costs as much as 2 and scores more; 4 costs more for the same
    assert front([1.0], [0.5]) == [0]


def test_students_of_one_size_stand_at_one_latency(study):
    shown = points(*study)
    assert [(p.name, p.kind) for p in shown] == [("teacher", "teacher"), ("tiny", "taught"), ("tiny alone", "alone")]
    assert [p.latency_ms for p in shown] == [20.0, 2.5, 2.5]  # of 2, 4, 2.5 and 1.5
    assert shown[1].height == pytest.approx(72)
    assert shown[1].spread == pytest.approx(4 / 2**0.5)
    assert shown[0].spread == 0


def drawn(shown, tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(teaching_plot, "_save", lambda figure, path: figures.append(figure))
    pareto(shown, tmp_path / "picture.png")
    return figures[0]


def test_the_picture_names_every_model_in_both_panels_and_draws_the_front(study, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    left, right = drawn(points(*study), tmp_path, monkeypatch).axes
    for axes, costs in ((left, [2.5, 20.0]), (right, [100, 2000])):
        assert {t.get_text() for t in axes.texts} == {"teacher", "tiny", "tiny alone"}
        (line,) = (x for x in axes.lines if str(x.get_label()).startswith("front"))
        assert list(line.get_xdata())[:2] == costs  # tiny alone costs as much and scores less
        assert list(line.get_ydata())[:2] == pytest.approx([72, 80])
    marks = [c.get_paths()[0].vertices.shape for c in left.collections if c.get_label() in teaching_plot.NAMES.values()]
    assert len(marks) == 3
    assert len({look[1] for look in teaching_plot.LOOKS.values()}) == 3  # told apart without colour


def test_names_that_would_lie_on_each_other_move_apart(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    crowd = [
        Point(name=f"student {i}", kind="taught", parameters=100 + i, latency_ms=2.0 + i / 100, scores=(0.7,))
        for i in range(4)
    ]
    teacher = Point(name="t", kind="teacher", parameters=9000, latency_ms=9, scores=(0.8,))
    figure = drawn([*crowd, teacher], tmp_path, monkeypatch)
    for axes in figure.axes:
        boxes = [t.get_window_extent() for t in axes.texts]
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_the_picture_is_a_png_beside_the_table_or_a_line_says_there_is_none(study, tmp_path, monkeypatch):
    said = []
    listener = SimpleNamespace(say=said.append)
    pytest.importorskip("matplotlib")
    teaching._draw(points(*study), tmp_path / teaching.PICTURE, listener)
    assert not said
    assert (tmp_path / "distillation.png").read_bytes().startswith(b"\x89PNG")
    assert [p.name for p in tmp_path.iterdir()] == ["distillation.png"]
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    teaching._draw(points(*study), tmp_path / "none" / teaching.PICTURE, listener)
    assert said == ["no distillation.png: pictures need matplotlib: pip install 'emobraid[report]'"]

"""The pictures carry the numbers they are given, and say what to install when they cannot be drawn."""

import subprocess
import sys

import numpy as np
import pytest

from emobraid.evaluation import insight_plots, plots

pytest.importorskip("matplotlib")
from matplotlib.image import imread
from matplotlib.text import Text

DRAW = {
    "confusion": lambda path: plots.confusion_matrix(np.array([[2, 1, 0], [0, 0, 0], [1, 0, 9]]), list("abc"), path),
    "per_class": lambda path: plots.per_class(
        ["joy", "$\\broken$"], [0.25, None], [1.0, None], [0.4, None], [4, 0], path
    ),
    "reliability": lambda path: plots.reliability(
        np.array([0.9, 0.95]), np.array([0.6, 0.7]), np.array([True, False]), path, ece=(0.4, 0.15)
    ),
    "subsets": lambda path: plots.subset_bars(["text", "text+audio"], [None, 0.62], [0, 1234], 0.11, path),
}
PLACES = np.array([[0.0, 0.0], [1.0, 0.0], [5.0, 5.0], [6.0, 5.0]])
CONFUSED = [
    {"true": "joy", "said": "fear", "n": 3, "share": 0.25, "confidence": 0.61},
    {"true": "fear", "said": "joy", "n": 1, "share": 0.5, "confidence": 0.9},
]
MOVED = {"all": {"text": 0.3, "audio": -0.05}, "by_class": {"joy": {"text": 0.4, "audio": 0.1}}}
DRAW |= {
    "roc": lambda path: insight_plots.roc(
        ["joy", "fear"],
        np.array([[1, 0], [0, 0], [1, 0]], dtype=bool),
        np.array([[0.9, 0.1], [0.6, 0.4], [0.5, 0.5]]),
        [0.5, None],
        path,
    ),
    "confidences": lambda path: insight_plots.confidences(
        np.array([0.9, 0.5, 0.7]), np.array([True, False, True]), path
    ),
    "confusions": lambda path: insight_plots.confusions(CONFUSED, 5, path),
    "contributions": lambda path: insight_plots.contributions(MOVED, path),
    "landscape": lambda path: insight_plots.landscape(
        PLACES, np.array([0, 0, 1, 1]), np.array([True, False, True, True]), ["joy", "fear"], path
    ),
}
SHOWN = {
    "roc": {"joy, 0.50", "fear, n/a", "ROC, each class against the others (n = 3)"},
    "confidences": {"right (2, median 0.80)", "wrong (1, median 0.50)"},
    "confusions": {" 3: 25 % of joy, said with 0.61", "fear, read as joy", "What is taken for what (4 of 5 mistakes)"},
    "contributions": {" -0.05 ", " +0.40 ", "said: joy", "all utterances", "text", "audio"},
    "landscape": {"joy (2)", "fear (2)", "Where utterances lie for the model (t-SNE, n = 4)"},
    "confusion": {"67%", "33%", "90%", "n/a", "9", "a\n(3)", "b\n(0)", "c\n(10)"},
    "per_class": {"joy (4)", "$\\broken$ (0)", "0.40", "n/a", "precision", "recall", "F1"},
    "reliability": {"before calibration, ECE 0.400", "after calibration, ECE 0.150", "accuracy"},
    "subsets": {"text (0)", "text + audio (1,234)", "n/a", "0.62", "always the commonest class (0.11)"},
}


@pytest.mark.parametrize("name", DRAW)
def test_a_picture_is_a_png_with_ink_inside_a_light_margin(name, tmp_path):
    DRAW[name](tmp_path / "picture")
    assert (tmp_path / "picture").read_bytes().startswith(b"\x89PNG")
    pixels = imread(tmp_path / "picture", format="png")[..., :3]
    assert min(pixels.shape[:2]) > 300
    assert pixels.std() > 0.05
    # whatever was cut off at the border would leave ink there
    assert all((edge == 1).all() for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]))


@pytest.mark.parametrize("name", DRAW)
def test_a_picture_names_what_it_shows(name, tmp_path, monkeypatch):
    figures = []
    for module in (plots, insight_plots):
        monkeypatch.setattr(module, "_save", lambda figure, path: figures.append(figure))
    DRAW[name](tmp_path / "picture")
    assert SHOWN[name] <= {text.get_text() for text in figures[0].findobj(Text)}


def test_long_class_names_are_not_cut(tmp_path):
    names = ["an emotion with a really long name", "b"]
    plots.confusion_matrix(np.eye(2, dtype=int), names, tmp_path / "long.png")
    pixels = imread(tmp_path / "long.png")[..., :3]
    assert all((edge == 1).all() for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]))


@pytest.mark.parametrize("name", DRAW)
def test_without_matplotlib_one_line_says_what_to_install(name, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"^pictures need matplotlib: pip install 'emobraid\[report\]'$"):
        DRAW[name](tmp_path / "picture")
    assert not list(tmp_path.iterdir())


def test_evaluation_does_not_load_matplotlib_before_a_picture_is_drawn():
    code = "import sys, emobraid.evaluation; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

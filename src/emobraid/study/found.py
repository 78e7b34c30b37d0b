"""What a search found: which trials ended, the table, the picture."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from emobraid.data.preparer import Reporter
from emobraid.study.space import Axis
from emobraid.study.tables import Table

INSTEAD = "instead of"  # of a trial that goes on for an interrupted one: its number


def shown(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that will not go on; one that was interrupted counts where it went on."""
    ended = study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL))
    taken_up = {t.user_attrs.get(INSTEAD) for t in study.trials}
    return [t for t in ended if t.number not in taken_up]


def winner(study: optuna.Study) -> FrozenTrial | None:
    """The best of the trials that were trained to their end."""
    whole = study.get_trials(states=(TrialState.COMPLETE,))
    return max(whole, key=lambda t: t.value or 0.0, default=None)


def table(study: optuna.Study, axes: Sequence[Axis]) -> Table:
    """Trained ones by score, then those that ended early, then those that could not be trained."""
    order = {TrialState.COMPLETE: 0, TrialState.PRUNED: 1, TrialState.FAIL: 2}
    ended = {0: "", 1: "behind the median", 2: "not trained"}
    rows = []
    for trial in sorted(finished(study), key=lambda t: (order[t.state], -(t.value or 0.0), t.number)):
        score = f"{100 * trial.value:.1f}" if trial.value is not None else ""
        values = (trial.params.get(a.name, "") for a in axes)
        cells = map(shown, values)
        rows.append((f"trial {trial.number}", score, ended[order[trial.state]], *cells))
    count = sum(1 for t in finished(study) if t.state == TrialState.COMPLETE)
    return Table(
        title="Search",
        columns=("", "macro-F1", "ended", *(a.name for a in axes)),
        rows=tuple(rows),
        notes=(
            f"macro-F1 on validation, one seed each; {count} of {len(rows)} trials trained to their end",
            "the best of many reads higher than it is: train it with other seeds, then score it once on test",
        ),
    )


def draw(study: optuna.Study, axes: Sequence[Axis], path: Path, reporter: Reporter) -> None:
    """Score against each setting, a dot a trial; without matplotlib a line says that there is no picture."""
    try:
        import matplotlib

        matplotlib.use("agg")
        from matplotlib import pyplot, ticker
        from optuna.visualization.matplotlib import plot_slice
    except ImportError:
        reporter.say(f"no {path.name}: pip install 'emobraid[report]' for pictures")
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the interface may change, that all trials share a value
        plot_slice(study, params=[a.name for a in axes], target_name="macro-F1 on validation")
    figure = pyplot.gcf()
    figure.suptitle("")
    for panel in figure.axes:
        panel.xaxis.set_minor_formatter(ticker.NullFormatter())  # they would overlap
    figure.set_size_inches(3.2 * len(axes), 3.2)
    figure.savefig(path, dpi=150, bbox_inches="tight")
    pyplot.close(figure)

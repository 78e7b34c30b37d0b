"""Training and evaluation from Python, in the words of the command line, and silent."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from emobraid.config import SECTIONS, Config, ModelConfig, fields_of, parse, to_tree
from emobraid.config.model import BUDGET
from emobraid.data.preparer import Progress
from emobraid.emotions import nearest
from emobraid.evaluation.remembered import as_trained
from emobraid.evaluation.sealed import evaluate as score
from emobraid.recipes import load_recipe
from emobraid.training.run import TrainingReporter
from emobraid.training.run import train as run
from emobraid.training.state import Watcher
from emobraid.training.trainer import Outcome


class Silent:
    """A reporter that says nothing, draws nothing and looks at nothing."""

    def say(self, line: str) -> None: ...

    def progress(self, task: str) -> Progress:
        return lambda done, of: None

    @contextmanager
    def named(self, name: str) -> Iterator[Self]:
        yield self

    def watchers(self, config: Config, folder: Path, first_step: int, total_steps: int) -> Sequence[Watcher]:
        return ()


def train(
    config: Config | ModelConfig | str | Path | None = None,
    *,
    output_dir: str | Path = "checkpoints",
    resume: bool = False,
    overwrite: bool = False,
    reporter: TrainingReporter | None = None,
    **settings: Any,
) -> Outcome:
    """Train as `emobraid train` does, into `output_dir`: best_model/, metrics.jsonl, resume/. It prints nothing.

        outcome = emobraid.train(data_root="data", fusion_type="early", num_epochs=5)
        metrics = emobraid.evaluate("checkpoints/best_model")

    `config` is a Config, a ModelConfig, or a recipe (a name, or a TOML file); `settings` are laid over it under the
    names of the flags. A `reporter`, such as `emobraid.training.display.TerminalReporter()` in a with block, shows how
    it goes. The outcome holds the best epoch, its macro-F1 on validation and the path of the best model. ValueError for
    anything that the caller can mend; KeyboardInterrupt saves first, and `resume` goes on.
    """
    return run(
        settled(config, settings),
        Path(output_dir),
        resume=resume,
        overwrite=overwrite,
        reporter=reporter or Silent(),
        given=frozenset(settings),
    )


def evaluate(
    model_path: str | Path = "checkpoints/best_model",
    *,
    output_dir: str | Path = "results",
    pictures: bool = True,
    retrieval: bool = False,
    reporter: TrainingReporter | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Score a model on the test split as `emobraid evaluate` does: the figures of metrics.json, written as well.

    The model remembers which data it was trained on; `settings` such as `data_root` and `dataset`, under the names of
    the flags, change that. It prints nothing. ValueError for anything that the caller can mend.
    """
    if strange := [name for name in settings if name not in fields_of(SECTIONS["data"])]:
        raise ValueError(f"{strange[0]} is not a setting of data{nearest(strange[0], fields_of(SECTIONS['data']))}")
    data = as_trained(Path(model_path), settled(None, settings).data, frozenset(settings))
    return score(Path(model_path), data, Path(output_dir), reporter or Silent(), pictures=pictures, retrieval=retrieval)


def settled(config: Config | ModelConfig | str | Path | None, settings: Mapping[str, Any]) -> Config:
    """The settings in a Config, ModelConfig or recipe, with flat ones laid over; ValueError for one that is none."""
    if isinstance(config, ModelConfig):
        config = Config(model=config)
    tree = to_tree(config) if isinstance(config, Config) else load_recipe(str(config)) if config is not None else {}
    homes = {n: s for s, fields in SECTIONS.items() for n in fields_of(fields) if not (s == "model" and n in BUDGET)}
    for name, value in settings.items():
        if name not in homes:
            raise ValueError(f"{name} is not a setting{nearest(name, list(homes))}".rstrip(","))
        tree.setdefault(homes[name], {})[name] = value
    return parse(tree, "settings")

"""The missing-modality benchmark on the test split, which it opens and says so in the ledgers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emobraid import checkpoint
from emobraid.config import DataConfig
from emobraid.data.prepared import targets
from emobraid.data.preparer import Reporter
from emobraid.evaluation.missing import Plan
from emobraid.evaluation.missing_benchmark import benchmark
from emobraid.evaluation.missing_report import write_robustness
from emobraid.evaluation.missing_scores import contender
from emobraid.evaluation.sealed import enter, open_test


def evaluate_robustness(
    models: Mapping[str, Path],
    data: DataConfig,
    output: Path,
    reporter: Reporter,
    *,
    plan: Plan,
    pictures: bool = True,
) -> dict[str, Any]:
    """Run the benchmark for `models` (by name, the first has all modalities), write it into `output`, return it.

    What a model answers where it has nothing to read is the commonest class of the training split of `data`. Each
    model's ledger gets a line. ValueError, before anything is opened, for models that cannot be compared.
    """
    refuse_strangers(models)
    opened = {name: open_test(path, data, reporter) for name, path in models.items()}
    contenders = []
    for name, (trained, config, corpus, split, read) in opened.items():
        known = targets(corpus.split("train"), len(config.model.labels))
        contenders.append(contender(name, trained.model, split, read, known))
    found = benchmark(contenders, plan, tell=reporter.progress)
    found["protocol"] |= {"dataset": data.dataset, "split": "test"}
    write_robustness(output, found, pictures=pictures)
    for name, path in models.items():
        whole = [r for r in found["rows"] if (r["model"], r["protocol"]) == (name, "fixed")][-1]
        enter(path, opened[name], {"all": whole}, study="missing modalities")
    return found


def refuse_strangers(models: Mapping[str, Path]) -> None:
    """ValueError for a multi-label model, and for one with modalities or classes that the first does not have."""
    folders = {name: checkpoint.resolve(path) for name, path in models.items()}
    found = {name: checkpoint.load_config(folder, checkpoint.read(folder)).model for name, folder in folders.items()}
    first, main = next(iter(found.items()))
    for name, config in found.items():
        if config.label_kind != "exclusive":
            raise ValueError(f"{name} is multi-label; the missing-modality benchmark scores exclusive classes")
        if more := set(config.modalities) - set(main.modalities):
            raise ValueError(f"{name} reads {', '.join(sorted(more))}, {first} does not; give {name} as --model_path")
        if config.labels != main.labels:
            raise ValueError(f"{name} has other classes than {first}: {', '.join(config.labels)}")

"""The layouts that a corpus may have on disk, by the name that `--dataset` gives them."""

from collections.abc import Callable

from emobraid.config import DataConfig, ModelConfig
from emobraid.data.corpus import Corpus, Rows
from emobraid.data.csv import CsvRows
from emobraid.data.meld import MeldRows


def open_corpus(data: DataConfig, model: ModelConfig) -> Corpus:
    """The corpus at `data.data_root`, read as `data.dataset` says."""
    return Corpus(layout(data, model))


def layout(data: DataConfig, model: ModelConfig) -> Rows:
    """What reads `data.data_root`."""
    readers: dict[str, Callable[..., Rows]] = {"csv": CsvRows, "meld": MeldRows}
    return readers[data.dataset](root=data.data_root, config=model, allow_outside=data.allow_outside)

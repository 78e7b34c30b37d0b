"""The layouts that a corpus may have on disk, by the name that `--dataset` gives them."""

from emobraid.config import DataConfig, ModelConfig
from emobraid.data.corpus import Corpus
from emobraid.data.csv import CsvRows


def open_corpus(data: DataConfig, model: ModelConfig) -> Corpus:
    """The corpus at `data.data_root`, read as `data.dataset` says."""
    return Corpus(CsvRows(root=data.data_root, config=model, allow_outside=data.allow_outside))

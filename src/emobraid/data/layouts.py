"""The layouts that a corpus may have on disk, by the name that `--dataset` gives them."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from emobraid.config import DataConfig, ModelConfig
from emobraid.data.corpus import Corpus, Rows
from emobraid.data.csv import CsvRows
from emobraid.data.hashes import content_hash, key_of
from emobraid.data.iemocap import open_iemocap
from emobraid.data.iemocap_folds import DEFAULT_FOLD
from emobraid.data.meld import MeldRows
from emobraid.data.mosei import open_mosei, refuse_other_mosei


def open_corpus(data: DataConfig, model: ModelConfig) -> Corpus:
    """The corpus at `data.data_root`, read as `data.dataset` says."""
    return Corpus(layout(data, model))


def layout(data: DataConfig, model: ModelConfig) -> Rows:
    """What reads `data.data_root`."""
    readers: dict[str, Callable[..., Rows]] = {
        "csv": CsvRows,
        "meld": MeldRows,
        "mosei": partial(open_mosei, data=data),
        "iemocap": partial(open_iemocap, data=data),
    }
    return readers[data.dataset](root=data.data_root, config=model, allow_outside=data.allow_outside)


def refuse_other_fold(trained: DataConfig, asked: DataConfig) -> None:
    """ValueError when a model is to be tested on another fold of its corpus than its own: it has seen parts of that."""
    own, other = (data.fold or DEFAULT_FOLD for data in (trained, asked))
    if trained.dataset == asked.dataset == "iemocap" and own != other:
        raise ValueError(
            f"this model was trained in the fold {own}, and has seen the test of {other}: give --fold {own}"
        )
    if trained.dataset == asked.dataset == "mosei":
        refuse_other_mosei(trained, asked)
    if own == other == "erc" and trained.split_seed != asked.split_seed:
        raise ValueError(f"this model was trained with --split_seed {trained.split_seed}: give the same")


def table_hash(table: Path) -> str:
    """What a split's table holds, as a sha256; of a folder, what its files are called and hold."""
    if not table.is_dir():
        return content_hash(table)
    parts = (part for path in sorted(table.rglob("*.txt")) for part in (path.name, content_hash(path)))
    return key_of(*parts)

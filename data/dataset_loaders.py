"""from data.dataset_loaders import FewShotDataset: how corpora are read. Your own lie beside this file."""

import _source  # noqa: F401  # this clone's code, installed or not

from emobraid.data.corpus import Corpus, Sample
from emobraid.data.few_shot import Episode, FewShotDataset
from emobraid.data.layouts import open_corpus
from emobraid.data.prepared import PreparedSplit
from emobraid.data.preparer import read_split

__all__ = ["Corpus", "Episode", "FewShotDataset", "PreparedSplit", "Sample", "open_corpus", "read_split"]

"""A synthetic corpus in the usual layout, to try and to test the program: babbling voices, drawn faces, templates.

`python -c "from pathlib import Path; from emobraid.data.sample import *; make_sample_corpus(Path('data'))"`
"""

from emobraid.data.sample.corpus import make_sample_corpus
from emobraid.data.sample.iemocap import make_sample_iemocap
from emobraid.data.sample.meld import make_sample_meld
from emobraid.data.sample.mosei import make_sample_mosei

__all__ = ["make_sample_corpus", "make_sample_iemocap", "make_sample_meld", "make_sample_mosei"]

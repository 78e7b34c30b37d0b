"""A synthetic corpus in the usual layout, to try and to test the program: babbling voices, drawn faces, templates.

`python -c "from pathlib import Path; from emobraid.data.sample import *; make_sample_corpus(Path('data'))"`
"""

from emobraid.data.sample.corpus import make_sample_corpus
from emobraid.data.sample.meld import make_sample_meld

__all__ = ["make_sample_corpus", "make_sample_meld"]

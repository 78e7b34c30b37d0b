"""Settings of where utterances come from."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass as checked

from emobraid.config.kinds import STRICT


@checked(frozen=True, kw_only=True, config=STRICT)
class DataConfig:
    """Where utterances come from."""

    dataset: Literal["csv", "meld", "mosei", "iemocap"] = "csv"
    """How data_root is laid out. csv: our own tables; meld, mosei, iemocap: as their authors publish them."""
    data_root: Path = Path("data")
    """Folder with train.csv, val.csv, test.csv and the media they name, or with what --dataset publishes."""
    workers: int = Field(default=2, ge=1, le=8)
    """Decoder processes."""
    cache_dir: Path | None = None
    """Where prepared inputs are kept between runs; default: emobraid in the user's cache folder."""
    cache: bool = True
    """Keep prepared inputs between runs, so that a second run decodes nothing."""
    half_features: bool = True
    """Keep what frozen encoders give as float16: half the disk and memory."""
    video_features: Literal["facet", "openface"] = "facet"
    """Which of CMU-MOSEI's published face features are read with --video_encoder features: FACET 4.2 or OpenFace 2."""
    alignment: Literal["words", "none"] = "words"
    """CMU-MOSEI's published voice and face features: averaged over each word, or every frame as it is."""
    folds: Literal["standard", "random"] = "standard"
    """CMU-MOSEI's splits. standard: as published, from a file in data_root; random: drawn by video with split_seed."""
    split_seed: int = Field(default=0, ge=0)
    """Which random folds, and which dialogues validate in IEMOCAP's fold erc."""
    fold: Literal["session1", "session2", "session3", "session4", "session5", "erc"] | None = None
    """IEMOCAP's split: the session that is left out for the test (session5 without this), or erc, where sessions 1 to 4
    train and validate."""
    soft_labels: bool = False
    """Train on the shares of IEMOCAP's evaluators who saw each class; scores count the majority's label."""
    skip_unreadable: bool = False
    """Go on when a file cannot be read, with that modality missing; otherwise the first one stops the run."""
    allow_outside: Path | None = None
    """A second folder that paths in the CSV may point into; others outside data_root are refused."""

    @model_validator(mode="after")
    def _has_such_folds(self) -> "DataConfig":
        for name in ("fold", "soft_labels"):
            if getattr(self, name) and self.dataset != "iemocap":
                raise ValueError(f"{name} is for --dataset iemocap; {self.dataset} has nothing of that kind")
        return self

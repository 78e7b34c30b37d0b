"""Which audit a layout has."""

from dataclasses import replace

from emobraid.config import DataConfig, ModelConfig
from emobraid.data.audit.findings import Audit, Progress
from emobraid.data.audit.iemocap import audit_iemocap
from emobraid.data.audit.meld import audit_meld
from emobraid.data.audit.mosei import audit_mosei
from emobraid.data.audit.tables import audit_tables
from emobraid.data.iemocap_folds import evaluations, home


def audit(data: DataConfig, model: ModelConfig, *, media: bool = False, progress: Progress | None = None) -> Audit:
    """Everything that is odd about the corpus at `data.data_root`, all at once; nothing is changed.

    With `media` every clip is decoded, to find those that cannot be read, are silent or show no face. The test table is
    read for counts and overlaps; no label of it is told to anything that learns. Where no dataset is named, a folder
    that is laid out as IEMOCAP is taken for it.
    """
    if not data.data_root.is_dir():
        raise ValueError(f"{data.data_root}: no such folder")
    if data.dataset == "csv" and evaluations(home(data.data_root) / "Session1").is_dir():
        data = replace(data, dataset="iemocap")
    look = {"csv": audit_tables, "meld": audit_meld, "mosei": audit_mosei, "iemocap": audit_iemocap}[data.dataset]
    return look(data, model, media=media, progress=progress)

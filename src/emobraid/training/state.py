"""Where a run stands: written whole at every save, so that a killed run goes on bit for bit.

Nothing random needs saving: order, dropout and augmentation are functions of the seed and the step.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Protocol, Self

import torch
from safetensors.torch import save
from torch import Tensor
from torch.optim import Optimizer

from emobraid import checkpoint
from emobraid import config as configuration
from emobraid.config import Config
from emobraid.data.recorded import table_of
from emobraid.model import MultimodalEmotionModel

KEPT = 2  # the newest, and one before it in case the newest is damaged


@dataclass
class Standing:
    """How far training has come."""

    step: int = 0
    epoch: int = 0
    batch: int = 0  # of the current epoch, already seen
    loss_sum: float = 0.0  # over this epoch's batches so far
    best_score: float = -1.0
    best_loss: float = float("inf")
    best_epoch: int = -1
    log_bytes: int = 0
    stopped: bool = False  # early stopping has spoken
    processes: int = 1  # that trained together
    data: str = ""  # fingerprints of the training and the validation split, and of a teacher with its rows
    left_out: list[str] = field(default_factory=list)  # modalities that were asked for and that no training row has

    @classmethod
    def of(cls, files: Mapping[str, bytes], folder: Path) -> Self:
        """What a saved state says; ValueError when it says something else."""
        told = table_of(files, "standing.json", folder)
        # what an earlier version did not save has its default
        told = {**asdict(cls()), **told} if told else told
        wanted = {f.name: type(getattr(cls(), f.name)) for f in fields(cls)}
        wrong = [
            name
            for name, value in told.items()
            if type(value) is not wanted.get(name) and not (type(value) is int and wanted.get(name) is float)
        ]
        if wrong or not told:
            raise ValueError(f"{folder}: standing.json does not say where the run stands ({', '.join(wrong[:5])})")
        return cls(**told)


class Watcher(Protocol):
    """Somebody who looks on: a progress bar, TensorBoard."""

    def step(self, standing: Standing, values: Mapping[str, float]) -> None: ...

    def epoch(self, standing: Standing, values: Mapping[str, float]) -> None: ...


class BestHook(Protocol):
    """What happens to a new best model."""

    def __call__(self, model: MultimodalEmotionModel, standing: Standing) -> None: ...


def save_standing(
    folder: Path,
    standing: Standing,
    model: MultimodalEmotionModel,
    optimizer: Optimizer,
    config: Config,
    *,
    writes: bool = True,
) -> None:
    """Publish `folder/step-N`, then drop all but the newest two, and what killed saves left behind.

    Of processes that share the weights out all call it, to put them together, and one `writes`.
    """
    moments = {
        f"{index}.{name}": checkpoint.whole(torch.as_tensor(value))
        # in one order in all processes: what was loaded comes in any
        for index, entry in sorted(optimizer.state_dict()["state"].items())
        for name, value in sorted(entry.items())
    }
    weights = {k: checkpoint.whole(v) for k, v in model.own_state().items()}
    if not writes:
        return
    checkpoint.publish(
        folder / f"step-{standing.step:08d}",
        {
            "model.safetensors": save(weights),
            "optimizer.safetensors": save(moments),
            "standing.json": json.dumps(asdict(standing)).encode(),
            "config.toml": configuration.to_toml(config).encode(),
            "bases.json": json.dumps(model.bases()).encode(),
        },
    )
    _prune(folder, standing.step)


def _prune(folder: Path, step: int) -> None:
    """Later steps than the one just published are damaged: else the run would have gone on from them."""
    kept = [p.name for p in _steps(folder) if p.name <= f"step-{step:08d}"][:KEPT]
    for path in folder.glob("step-*"):
        name = path.name.removesuffix(checkpoint.FORMER)
        stands_in = path.name != name and not path.with_name(name).exists()  # killed between the two renames
        if name not in kept or (path.name != name and not stands_in):
            shutil.rmtree(path, ignore_errors=True)


def _steps(folder: Path) -> list[Path]:
    """Step folders, newest first by step, never by time."""
    names = {p.name.removesuffix(checkpoint.FORMER) for p in folder.glob("step-*") if checkpoint.ASIDE not in p.name}
    return [folder / n for n in sorted(names, reverse=True)]


@dataclass(frozen=True)
class Saved:
    standing: Standing
    weights: dict[str, Tensor]
    moments: dict[str, Tensor]
    config: Config
    bases: bytes


def newest(folder: Path) -> tuple[Saved | None, list[str]]:
    """The newest whole state, and a line about each damaged one that was passed over."""
    damaged = []
    for path in _steps(folder):
        try:
            files = checkpoint.read(path)
            saved = Saved(
                Standing.of(files, path),
                checkpoint.tensors(files.get("model.safetensors", b""), path),
                checkpoint.tensors(files.get("optimizer.safetensors", b""), path, "optimizer.safetensors"),
                checkpoint.load_config(path, files),
                files.get("bases.json", b"{}"),
            )
        except ValueError as error:
            damaged.append(str(error))
            continue
        return saved, damaged
    return None, damaged


def refuse_other_data(was: Standing, now: Standing, folder: Path) -> None:
    """A resumed run must learn from the same rows; ValueError otherwise. States of earlier versions do not tell."""
    names = ("training split", "validation split", "teacher or what it reads")
    for name, before, after in zip(names, was.data.split(), now.data.split(), strict=False):
        if before != after and len(before) == len(after):  # those of earlier versions are shorter, and knew no values
            raise ValueError(
                f"the {name} is not what it was when the run in {folder} began (rows, labels, files or numbers are "
                "others); put it back to resume, or start anew in another folder"
            )


def restore_optimizer(optimizer: Optimizer, moments: dict[str, Tensor]) -> None:
    learning = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in moments.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = checkpoint.like(value, learning[int(index)])
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})

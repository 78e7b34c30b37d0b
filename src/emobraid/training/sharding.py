"""Weights shared out over processes: each keeps its part of every weight, gradient and moment, and borrows the others'
for as long as a layer computes (FSDP, Zhao et al. 2023, arXiv:2304.11277; here PyTorch's `fully_shard`).
"""

import warnings
from collections.abc import Mapping
from typing import Any, Literal

import torch
import torch.distributed as dist
from accelerate import Accelerator
from torch import nn

from emobraid.config import Config
from emobraid.encoders.adapters import layers_of
from emobraid.model import MultimodalEmotionModel
from emobraid.stream import Stream
from emobraid.training.lesson import Reader
from emobraid.training.optimization import optimizer_for
from emobraid.training.processes import Shares, share

Sharding = Literal["none", "fsdp"]
ONE_PROCESS = "sharding fsdp shares weights out over processes: start it with torchrun --nproc_per_node N"


def spread_out(
    model: MultimodalEmotionModel, config: Config, accelerator: Accelerator, sharding: Sharding
) -> tuple[Any, Any, Reader]:
    """The model on its device or over all processes, its optimizer, and what reads a batch with it."""
    for tower in model.towers().values():
        if config.training.gradient_checkpointing:
            tower.checkpoint_gradients()
        if config.training.compile:
            tower.compile_layers()
    processes, rank = accelerator.num_processes, accelerator.process_index
    if sharding == "none":
        wrapped, optimizer = accelerator.prepare(model, optimizer_for(model, config, fused=True))
        return wrapped, optimizer, wrapped if processes == 1 else Shares(wrapped, rank, processes)
    if processes == 1:
        raise ValueError(ONE_PROCESS)
    shard(model, accelerator.device)
    optimizer = accelerator.prepare(optimizer_for(model, config, fused=True))

    def before(streams: Mapping[str, Stream]) -> list[int]:
        alike(model)
        return borrowed(streams, processes)

    return model, optimizer, Shares(model, rank, processes, before)


def shard(model: MultimodalEmotionModel, device: torch.device) -> None:
    """Make parts of the model's weights: the layers of each tuned pretrained encoder one by one, all else at once.

    Frozen weights are shared out like those that learn. Call it before the optimizer is made.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

    # a reading holds views of other tensors, which would matter if anything wrote into it
    warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view tensor")
    model.to(device)
    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    for tower in model.towers().values():
        if tower.model is not None:
            for layer in layers_of(tower.model):
                fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    register_fsdp_forward_method(model, "fuse_subsets")  # validation enters there


def borrowed(streams: Mapping[str, Stream], processes: int) -> list[int]:
    """Rows of the batch that every share reads besides its own, so that no process leaves out an encoder that another
    one runs: they would wait for each other's weights for ever. None, unless a share lacks a modality altogether."""
    rows = len(next(iter(streams.values())).mask)
    shares = [share(rows, rank, processes) for rank in range(processes)]
    presence = [s.present.cpu() for s in streams.values()]
    lacking = [there for there in presence if there.any() and not all(bool(there[own].any()) for own in shares)]
    return [int(there.nonzero()[0]) for there in lacking]


def alike(model: nn.Module) -> None:
    """Running statistics of batch normalisation as the first process has them, as DDP does it."""
    for layer in model.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            for statistic in layer.buffers():
                dist.broadcast(statistic, 0)

"""When a step does not fit into memory, the user is told what would."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from emobraid.config import Config
from emobraid.training.state import Standing


class OutOfMemory(RuntimeError):
    """A step needs more memory than there is; what was saved before is untouched."""

    exit_code = 1


@contextmanager
def told_what_fits(standing: Standing, config: Config, folder: Path) -> Iterator[None]:
    """OutOfMemory, in one line, for whatever PyTorch or Python say when memory is short."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and "allocate memory" not in str(error):
            raise
        settings = config.training
        pieces = 2 * settings.accumulate
        smaller = [f"--accumulate {pieces}"] if pieces <= settings.batch_size else []
        if settings.batch_size > 1:
            smaller.append(f"--batch_size {settings.batch_size // 2}")
        advice = f"try {' or '.join(smaller)} in a new run" if smaller else "take a smaller model"
        raise OutOfMemory(
            f"out of memory at step {standing.step} with {settings.batch_size} utterances a step; {advice}. "
            f"What was saved in {folder} is kept"
        ) from error

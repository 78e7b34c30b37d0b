"""One thread, no network, no writing into the user's folders, a fixed seed: for every test."""

import os

# before torch is imported: on two cores a second thread costs far more than it gives
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
os.environ["ACCELERATE_DISABLE_RICH"] = "1"
os.environ["MPLBACKEND"] = "Agg"

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch

from emobraid.config import ModelConfig
from emobraid.stream import Stream

torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _own_cache_folder(tmp_path_factory):
    """Prepared inputs of tests never meet the user's; matplotlib keeps its font list, which takes seconds to build."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPLCONFIGDIR", os.environ.get("MPLCONFIGDIR", os.path.expanduser("~/.cache/matplotlib")))
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def hub(tmp_path_factory) -> Mapping[str, Path]:
    """Folders of tiny models of the real architectures, by name, each made when first asked for."""
    from tiny_hub import TinyHub  # imports transformers, which most tests can do without

    return TinyHub(tmp_path_factory.mktemp("hub"))


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.fixture
def random_stream() -> Callable[..., Stream]:
    """`random_stream([3, 0, 5], dim=16)`: B sequences of those lengths, normal values, zeros where nothing is real."""

    def build(lengths: list[int], *, dim: int = 16, steps: int | None = None) -> Stream:
        mask = torch.arange(max(lengths) if steps is None else steps)[None] < torch.tensor(lengths)[:, None]
        return Stream(torch.randn(*mask.shape, dim) * mask[..., None], mask)

    return build


@pytest.fixture
def small_config() -> Callable[..., ModelConfig]:
    """`small_config(fusion_type="late")`: the smallest model that has every part."""

    def build(**changed: object) -> ModelConfig:
        small = {"encoder_dim": 16, "fusion_hidden_size": 16, "fusion_heads": 2, "fusion_depth": 1}
        return ModelConfig(**{**small, **changed})  # type: ignore[arg-type]

    return build


@pytest.fixture
def command(capsys) -> Callable[..., tuple[int, str, str]]:
    """Runs `emobraid ...` in this process; (exit code, standard output, standard error)."""
    from emobraid import cli  # imports more than most tests need

    def run(*args):
        capsys.readouterr()
        code = cli.main([str(a) for a in args])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


@pytest.fixture
def refused(command) -> Callable[..., str]:
    """Runs a command that must fail with exit code 2 and exactly one line; that line without its `emobraid: `."""

    def run(*args):
        code, out, err = command(*args)
        assert (code, out) == (2, "")
        assert err.startswith("emobraid: ")
        assert err.endswith("\n")
        assert err.count("\n") == 1
        assert "Traceback" not in err
        return err.removeprefix("emobraid: ").rstrip("\n")

    return run

"""The page and the HTTP API. `emobraid demo` and `emobraid serve` start them; both need the extra `demo`."""

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emobraid.app.page import build, mount

__all__ = ["build", "mount"]
NEEDED = ("gradio", "fastapi", "uvicorn", "python_multipart", "websockets")


def require_demo() -> None:
    """ImportError with the command that helps, when the extra `demo` is not installed."""
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise ImportError(f"the page and the API need {', '.join(missing)}: pip install 'emobraid[demo]'")


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"emobraid.app has no {name!r}; it has {', '.join(__all__)}")
    from emobraid.app import page  # Gradio takes seconds to import

    return getattr(page, name)

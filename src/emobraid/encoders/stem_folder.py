"""A folder with the frozen net of a stem, as `benchmarks/stems_ship.py` writes it. Nothing is ever fetched."""

from pathlib import Path
from typing import Literal

from safetensors import SafetensorError, safe_open

from emobraid.encoders.hub import ModelNotHere, files_hash

STEMS = {"text": "minilm_stem", "video": "face_stem"}
TRAINERS = {"text": "text_tuning.py", "video": "face_tuning.py"}
SHIPPED = {"text": "text", "video": "face"}  # what stems_ship.py calls them


class StemFolder:
    """The folder `name` for the stem of `modality`, which holds `files`; ModelNotHere, a ValueError, says in one
    sentence what is wrong with it and how to make one.

    StemFolder("stems/text", "text", ("model.safetensors",)).sha256
    """

    def __init__(self, name: str | Path, modality: Literal["text", "video"], files: tuple[str, ...]) -> None:
        self.name, self.modality, self.files = str(name), modality, files
        self.path = Path(name).expanduser()
        if not self.name or not self.path.is_dir():
            raise ModelNotHere(f"{STEMS[modality]} reads its weights from a folder, and {name} is none: {self.how()}")
        if missing := [file for file in files if not (self.path / file).is_file()]:
            raise self.wrong(f"{missing[0]} is missing")

    def how(self) -> str:
        ship = f"python benchmarks/stems_ship.py {SHIPPED[self.modality]} RUN --data DATA --output FOLDER"
        return (
            f"make one with benchmarks/{TRAINERS[self.modality]} and then `{ship}`, and name it with "
            f"--{self.modality}_model_name FOLDER (docs/encoders.md)"
        )

    def wrong(self, why: object) -> ModelNotHere:
        return ModelNotHere(f"{self.path} is no folder for {STEMS[self.modality]} ({why}): {self.how()}")

    @property
    def sha256(self) -> str:
        """Of names and contents of its files; it follows them when they change."""
        return files_hash([self.path / file for file in self.files])

    def header(self, file: str) -> tuple[dict[str, list[int]], dict[str, str]]:
        """The shapes of the tensors in one of its files, and what stands beside them; no weight is read."""
        try:
            with safe_open(self.path / file, "pt") as opened:
                names = list(opened.keys())
                return {n: opened.get_slice(n).get_shape() for n in names}, opened.metadata() or {}
        except (SafetensorError, OSError) as error:
            raise self.wrong(f"{file} cannot be read: {error}") from None

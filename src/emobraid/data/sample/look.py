"""What tells one drawn speaker from another: colours and proportions."""

from dataclasses import dataclass

import numpy as np

from emobraid.data.sample.canvas import Colour

# blue, green, red; skins from light to dark
SKINS: tuple[Colour, ...] = (
    (178, 200, 236), (160, 188, 228), (140, 172, 216), (122, 156, 204), (104, 138, 188), (86, 118, 168), (74, 102, 148),
)  # fmt: skip
HAIRS: tuple[Colour, ...] = (
    (28, 30, 36), (34, 46, 66), (40, 62, 98), (62, 100, 150), (92, 150, 196), (40, 68, 140), (150, 154, 158),
)  # fmt: skip
IRISES: tuple[Colour, ...] = ((38, 60, 92), (30, 42, 66), (140, 104, 62), (84, 110, 72), (120, 116, 100))
CLOTHES: tuple[Colour, ...] = (
    (120, 72, 40), (58, 60, 150), (80, 110, 60), (70, 70, 74), (150, 140, 60), (190, 190, 196), (90, 50, 96),
)  # fmt: skip
WALLS: tuple[Colour, ...] = ((198, 190, 176), (170, 186, 192), (186, 196, 178), (182, 176, 196), (150, 150, 150))
STYLES = ("short", "parted", "curly", "receding", "fringe", "long", "bun")
_OFTEN_LOW, _OFTEN_OTHER = STYLES[:4], ("short", "parted", "curly", "fringe", "long", "bun")


@dataclass(frozen=True)
class Look:
    """What stays the same in every film of a speaker. Sizes are factors around 1."""

    skin: Colour
    hair: Colour
    iris: Colour
    cloth: Colour
    wall: Colour
    style: str  # of the hair, one of STYLES
    beard: float  # 0..1
    width: float
    jaw: float  # 0 pointed .. 1 square
    eye_gap: float
    eye_size: float
    brow_width: float
    brow_height: float
    nose_width: float
    lips: float
    age: float  # 0..1, how deep the creases are
    seed: int  # of the hair's texture

    @classmethod
    def draw(cls, speaker: int, kind: int, rng: np.random.Generator) -> "Look":
        """A speaker's look. `speaker` spreads skin tones evenly; `kind` is the voice's: low ones may have a beard."""
        tone = (speaker * 0.618) % 1 * (len(SKINS) - 1)
        blue, green, red = (float(np.interp(tone, range(len(SKINS)), c)) for c in zip(*SKINS, strict=True))
        dark = tone > 4  # then hair and eyes are dark too
        styles = _OFTEN_LOW if kind == 0 else _OFTEN_OTHER
        return cls(
            skin=(blue, green, red),
            hair=HAIRS[rng.integers(3 if dark else len(HAIRS))],
            iris=IRISES[rng.integers(2 if dark else len(IRISES))],
            cloth=CLOTHES[rng.integers(len(CLOTHES))],
            wall=WALLS[rng.integers(len(WALLS))],
            style=styles[rng.integers(len(styles))],
            beard=rng.uniform(0.3, 0.8) if kind == 0 and rng.random() < 0.4 else 0.0,
            width=rng.uniform(0.93, 1.06),
            jaw=rng.uniform(0.2, 1.0),
            eye_gap=rng.uniform(0.94, 1.07),
            eye_size=rng.uniform(0.92, 1.1),
            brow_width=rng.uniform(0.7, 1.4),
            brow_height=rng.uniform(0.9, 1.1),
            nose_width=rng.uniform(0.85, 1.25),
            lips=rng.uniform(0.8, 1.35),
            age=rng.random(),
            seed=int(rng.integers(2**31)),
        )


def toned(colour: Colour, factor: float) -> Colour:
    """`colour` lighter (factor > 1) or darker; shadows keep more red, as skin does."""
    blue, green, red = colour
    warm = 1 + 0.12 * max(0.0, 1 - factor)
    return min(255.0, blue * factor), min(255.0, green * factor), min(255.0, red * factor * warm)

"""Films of drawn faces: the features over the head, a little motion, light and camera noise."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from emobraid.data.sample.canvas import SUBPIXELS, Colour, fixed_point
from emobraid.data.sample.expression import UNITS, Action, action
from emobraid.data.sample.features import Units, creases, shapes
from emobraid.data.sample.look import Look, toned
from emobraid.data.sample.portrait import CENTRE_X, CENTRE_Y, HEIGHT, TALL, WIDTH, backdrop, head
from emobraid.emotions import Emotion

DETAIL = 2  # heads are drawn this many times larger than the frame: smooth edges, motion finer than a pixel
SIZE = WIDTH, HEIGHT
FURROWED = slice(60, 280), slice(90, 294)  # rows and columns of a layer that may have creases

Picture = NDArray[np.uint8]  # (HEIGHT, WIDTH, 3) blue, green, red
Layer = NDArray[np.uint8]  # (DETAIL * HEIGHT, DETAIL * WIDTH, 4) blue, green, red, alpha
Affine = NDArray[np.float64]  # (2, 3)


def film(
    look: Look, emotion: Emotion, intensity: float, mouth: Action, rate: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """A face that shows `emotion`, (T, HEIGHT, WIDTH, 3) in blue, green, red, at `rate` frames per second.

    `mouth` (T,) 0..1 is how loud it speaks in each frame.
    """
    units = dict(zip(UNITS, action(emotion, intensity, mouth, rate, rng).T, strict=True))
    sway = _sway(len(mouth), rate, rng)
    zoom, place = rng.uniform(0.93, 1.06), rng.uniform((-8, -1), (8, 5))
    scene = _Scene.of(look, _pose(1, zoom, 0, place), rng)
    heads = [scene.lit(layer) for layer in _heads(look)]
    drawing = _Drawing.of(look, units, sway, brightness=float(scene.light.mean()))
    frames = np.empty((len(mouth), HEIGHT, WIDTH, 3), np.uint8)
    for i, (roll, turn, nod) in enumerate(sway.T):
        layer = drawing.on(_moved(heads, units[6][i], units[26][i]), i)
        pose = _pose(DETAIL, zoom, 1.8 * roll, place + np.array([turn, 0.6 * nod]))
        frames[i] = scene.frame(np.asarray(cv2.warpAffine(layer, pose, SIZE), np.uint8), rng)
    return frames


def _sway(frames: int, rate: float, rng: np.random.Generator) -> Action:
    """Small head motion (3, frames): roll, turn, nod, each within -1..1."""
    time = np.arange(frames) / rate
    speeds, starts = rng.uniform(1.3, 4.4, (2, 3, 1)), rng.uniform(0, 6.28, (2, 3, 1))
    return np.asarray(0.7 * np.sin(speeds[0] * time + starts[0]) + 0.3 * np.sin(2 * speeds[1] * time + starts[1]))


def _pose(detail: int, zoom: float, roll: float, place: NDArray[np.float64]) -> Affine:
    """From a picture drawn at `detail` to the frame: zoomed and turned about the middle of the face, then moved."""
    middle = np.array([CENTRE_X, CENTRE_Y])
    centre = float(detail * CENTRE_X), float(detail * CENTRE_Y)
    matrix = np.asarray(cv2.getRotationMatrix2D(centre, roll, zoom / detail), np.float64)
    matrix[:, 2] += middle - centre + place
    return matrix


class _Scene(NamedTuple):
    """Where a film is shot: what is behind the head, how light falls, how noisy the camera is."""

    back: Picture
    light: NDArray[np.float32]  # (WIDTH,), a factor from left to right
    grain: NDArray[np.int16]  # larger than a frame: every frame takes another cut

    @classmethod
    def of(cls, look: Look, pose: Affine, rng: np.random.Generator) -> "_Scene":
        light = np.linspace(-0.18, 0.18, WIDTH) * rng.uniform(-1, 1) + rng.uniform(0.9, 1.08)
        still = np.clip(backdrop(look, rng) * light[:, None], 0, 255).astype(np.uint8)
        back = cv2.warpAffine(still, pose, SIZE, borderMode=cv2.BORDER_REPLICATE)
        grain = rng.normal(0, 1.6, (HEIGHT + 16, WIDTH + 16, 1)).round().astype(np.int16)
        return cls(np.asarray(back, np.uint8), light.astype(np.float32), np.repeat(grain, 3, axis=2))

    def lit(self, layer: Layer) -> Layer:
        factors = np.ones(layer.shape, np.float32)
        factors[:, :, :3] = np.repeat(self.light, DETAIL)[:, None]
        return np.asarray(cv2.multiply(layer, factors, dtype=cv2.CV_8U), np.uint8)

    def frame(self, layer: Layer, rng: np.random.Generator) -> Picture:
        """A frame with `layer` (HEIGHT, WIDTH, 4) before the backdrop."""
        weight = cv2.extractChannel(layer, 3) * np.float32(1 / 255)
        frame = cv2.blendLinear(cv2.cvtColor(layer, cv2.COLOR_BGRA2BGR), self.back, weight, 1 - weight)
        down, right = rng.integers(0, 16, 2)
        noise = self.grain[down : down + HEIGHT, right : right + WIDTH]
        return np.asarray(cv2.add(frame, noise, dtype=cv2.CV_8U), np.uint8)


@lru_cache(maxsize=2)
def _heads(look: Look) -> tuple[Layer, Layer]:
    """The head at DETAIL, at rest and with raised cheeks: made once for all films of a speaker."""
    size = DETAIL * WIDTH, DETAIL * HEIGHT
    rest, raised = (cv2.resize(head(look, cheeks=c), size, interpolation=cv2.INTER_CUBIC) for c in (0.0, 1.0))
    return np.asarray(rest, np.uint8), np.asarray(raised, np.uint8)


def _moved(heads: Sequence[Layer], cheeks: float, jaw: float) -> Layer:
    """A fresh copy of the head, its cheeks raised and its jaw dropped by 0..1."""
    rest, raised = heads
    layer = rest.copy() if cheeks < 0.1 else np.asarray(cv2.addWeighted(rest, 1 - cheeks, raised, cheeks, 0), np.uint8)
    drop = round(6.5 * DETAIL * jaw)
    if drop:
        top, chin = round(DETAIL * (CENTRE_Y + 0.3 * TALL)), round(DETAIL * (CENTRE_Y + 1.02 * TALL))
        layer[top : chin + drop] = cv2.resize(layer[top:chin], (DETAIL * WIDTH, chin - top + drop))
    return layer


class _Drawing(NamedTuple):
    """Everything that moves in a film, ready for OpenCV: fixed-point polygons (T, N, 2)."""

    skin: Colour
    shapes: Sequence[tuple[NDArray[np.int32], Colour, NDArray[np.bool_]]]
    creases: Sequence[tuple[NDArray[np.int32], NDArray[np.float64]]]

    @classmethod
    def of(cls, look: Look, units: Units, sway: Action, brightness: float) -> "_Drawing":
        x, y = CENTRE_X + 2 * sway[1], CENTRE_Y + 1.5 * sway[2]
        corner = np.array([FURROWED[1].start, FURROWED[0].start]) / DETAIL
        return cls(
            toned(look.skin, 0.9 * brightness),
            [
                (fixed_point(s.points, DETAIL), toned(s.colour, brightness), s.shown > 0)
                for s in shapes(look, units, x, y)
            ],
            [(fixed_point(c.points - corner, DETAIL), 255 * c.depth) for c in creases(look, units, x, y)],
        )

    def on(self, layer: Layer, i: int) -> Layer:
        """`layer`, with the creases and features of frame `i` drawn on it."""
        skin = layer[FURROWED]
        depths = np.zeros(skin.shape[:2], np.uint8)
        for points, depth in self.creases:
            if depth[i] > 8:
                cv2.fillPoly(depths, [points[i]], depth[i], cv2.LINE_AA, SUBPIXELS)
        depths = np.asarray(cv2.GaussianBlur(depths, (3, 3), 0), np.uint8)
        darker = [cv2.convertScaleAbs(depths, alpha=c / 255) for c in self.skin]
        cv2.subtract(skin, cv2.merge([*darker, np.zeros_like(depths)]), skin)
        for points, colour, shown in self.shapes:
            if shown[i]:
                cv2.fillPoly(layer, [points[i]], (*colour, 255), cv2.LINE_AA, SUBPIXELS)
        return layer

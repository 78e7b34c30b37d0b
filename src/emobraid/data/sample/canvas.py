"""Shapes as polygons, for one frame (N, 2) or for every frame of a film (T, N, 2), and soft painting of single ones.

Coordinates are x, y in pixels of a frame, x to the right and y down.
"""

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

Image = NDArray[np.float32]  # (H, W, 3) or (H, W), 0..255
Points = NDArray[np.float64]  # (..., N, 2)
Place = NDArray[np.float64]  # (..., 2)
Colour = tuple[float, float, float]  # blue, green, red 0..255

SUBPIXELS = 4  # bits of a fixed-point coordinate
_ROUND = np.linspace(0, 2 * np.pi, 20, endpoint=False)
_ALONG = np.linspace(0, 1, 9)[:, None]


def at(x: ArrayLike, y: ArrayLike) -> Place:
    """The point x, y; arrays (T,) make a moving one (T, 2), arrays (T, N) or (N,) a line of points."""
    return np.stack(np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(y, np.float64)), axis=-1)


def ellipse(centre: Place, width: ArrayLike, height: ArrayLike) -> Points:
    """The ellipse around `centre` with these half axes."""
    x = np.asarray(width, np.float64)[..., None] * np.cos(_ROUND)
    y = np.asarray(height, np.float64)[..., None] * np.sin(_ROUND)
    return np.asarray(centre, np.float64)[..., None, :] + at(x, y)


def bend(start: Place, towards: Place, end: Place) -> Points:
    """The quadratic Bezier curve from `start` to `end`, pulled `towards` a third point."""
    a, b, c = (np.asarray(point, np.float64)[..., None, :] for point in (start, towards, end))
    return (1 - _ALONG) ** 2 * a + 2 * _ALONG * (1 - _ALONG) * b + _ALONG**2 * c


def stroke(line: Points, widths: ArrayLike) -> Points:
    """The area around `line` that is `widths` (..., N) pixels wide."""
    along = np.gradient(line, axis=-2)
    length = np.hypot(along[..., 0], along[..., 1])
    half = at(-along[..., 1], along[..., 0]) * (np.asarray(widths) / 2 / (length + 1e-9))[..., None]
    return between(line + half, line - half)


def between(line: Points, other: Points) -> Points:
    """The area between two lines that run the same way."""
    return np.concatenate([line, other[..., ::-1, :]], axis=-2)


def fixed_point(points: Points, scale: float) -> NDArray[np.int32]:
    """`points` times `scale` as OpenCV wants them when it is told to shift by SUBPIXELS."""
    return np.round(points * (scale * (1 << SUBPIXELS))).astype(np.int32)


def paint(image: Image, shape: Points, colour: Colour, *, alpha: float = 1.0, blur: float = 0.0) -> None:
    """Lays `colour` over the polygon `shape` (N, 2) of `image`; `blur` softens its edge (sigma in pixels)."""
    margin = int(3 * blur) + 2
    height, width = image.shape[:2]
    left, top = np.clip(np.floor(shape.min(axis=0)).astype(int) - margin, 0, (width, height))
    right, bottom = np.clip(np.ceil(shape.max(axis=0)).astype(int) + margin, 0, (width, height))
    if right <= left or bottom <= top:
        return
    mask = np.zeros((int(bottom - top), int(right - left)), np.uint8)
    cv2.fillPoly(mask, [fixed_point(shape - (left, top), 1.0)], 255, cv2.LINE_AA, SUBPIXELS)
    if blur:
        mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), blur))
    box = image[top:bottom, left:right]
    box += (np.asarray(colour, np.float32) - box) * (mask.astype(np.float32) * np.float32(alpha / 255))[:, :, None]

"""The part of a drawn speaker that does not move: the backdrop with shoulders, and the head without its features."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from emobraid.data.sample.canvas import Colour, Image, at, bend, between, ellipse, paint, stroke
from emobraid.data.sample.look import Look, toned

WIDTH, HEIGHT = 192, 160
CENTRE_X, CENTRE_Y = 96.0, 86.0  # of the face
WIDE, TALL = 40.0, 52.0  # half its size, before `Look.width`

Field = NDArray[np.floating[Any]]  # (HEIGHT, WIDTH)


def backdrop(look: Look, rng: np.random.Generator) -> Image:
    """A wall with soft light and a few things out of focus, and the shoulders before it, (HEIGHT, WIDTH, 3)."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    light = 1.08 - 0.35 * np.hypot((x - rng.uniform(30, 160)) / WIDTH, (y - 20) / HEIGHT)
    image = _flat(look.wall, light)
    for _ in range(rng.integers(1, 5)):
        thing = ellipse(at(rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT)), rng.uniform(7, 30), rng.uniform(10, 40))
        paint(image, thing, toned(look.wall, rng.uniform(0.6, 1.25)), alpha=0.7, blur=4.5)
    top = CENTRE_Y + TALL
    left = bend(at(CENTRE_X - 88, HEIGHT + 2), at(CENTRE_X - 75, top + 9), at(CENTRE_X - 22, top - 1))
    shoulders = between(left, left * (-1, 1) + (2 * CENTRE_X, 0))
    paint(image, shoulders + np.array([2, 3]), (20, 20, 20), alpha=0.35, blur=4)
    paint(image, shoulders, look.cloth)
    paint(image, ellipse(at(CENTRE_X - 40, HEIGHT), 25, 15), toned(look.cloth, 1.3), alpha=0.4, blur=7)
    return image


def head(look: Look, *, cheeks: float) -> NDArray[np.uint8]:
    """The head without eyes, brows and mouth, its `cheeks` raised by 0..1, (HEIGHT, WIDTH, 4) with alpha."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    u, v = (x + 0.5 - CENTRE_X) / (WIDE * look.width), (y + 0.5 - CENTRE_Y) / TALL
    image, alpha = _flat(toned(look.skin, 0.6)), np.zeros_like(u)
    behind, front, strands = _behind(look, u, v), _front(look, u, v), _strands(look, v)
    _cover(image, alpha, behind, strands * np.float32(0.75))
    neck = _edge(0.5 + 0.12 * look.jaw + 0.25 * np.clip(v - 0.95, 0, 1) - np.abs(u), 15) * (np.abs(v - 0.72) < 0.5)
    _cover(image, alpha, neck, _flat(toned(look.skin, 0.72), 1 - 0.25 * np.clip(1.35 - v, 0, 0.5)))
    ears = _edge(1 - np.hypot((np.abs(u) - 0.98) / 0.12, (v - 0.02) / 0.19), 5)
    _cover(image, alpha, ears, _flat(toned(look.skin, 0.82)))
    outline = _outline(look, v)
    _cover(image, alpha, _edge(outline - np.abs(u), 25) * (np.abs(v) < 1), _skin(look, u, v, outline))
    _shade(image, look, cheeks)
    _nose(image, look)
    _cover(image, alpha, front, strands)
    return np.clip(np.dstack([image, 255 * alpha]), 0, 255).astype(np.uint8)


def _flat(colour: Colour, light: float | Field = 1.0) -> Image:
    shade = np.broadcast_to(np.asarray(light, np.float32), (HEIGHT, WIDTH))
    return np.asarray(np.asarray(colour, np.float32) * shade[:, :, None])


def _edge(depth: Field, sharpness: float) -> Field:
    """1 where `depth` is positive, 0 where it is negative, with an edge as soft as `sharpness` is low."""
    return np.clip(depth * sharpness + 0.5, 0, 1).astype(np.float32)


def _cover(image: Image, alpha: Field, weight: Field, colour: Image) -> None:
    image += (colour - image) * weight[:, :, None]
    alpha += (1 - alpha) * weight


def _outline(look: Look, v: Field) -> Field:
    """Half the width of the face at height v, in units of its largest half width; zero above and below it."""
    upper = np.sqrt(np.clip(1 - np.abs(v) ** 2.3, 0, 1))
    lower = np.sqrt(np.clip(1 - np.abs(v) ** (2.2 + 0.8 * look.jaw), 0, 1))
    return np.where(v < 0, upper, lower * (1 - (0.3 - 0.2 * look.jaw) * np.clip(v, 0, 1)))


def _skin(look: Look, u: Field, v: Field, outline: Field) -> Image:
    """The face as an egg under one lamp (Lambert), darker where it turns away, a little redder in the shade."""
    across = np.clip(u / np.maximum(outline, 0.05), -1, 1)
    depth = np.sqrt(np.clip(1 - 0.8 * across**2 - 0.55 * v**2, 0.02, 1))
    lit = np.clip(0.12 * across - 0.3 * v + 0.83 * depth, 0, 1.2)
    shade = ((0.5 + 0.56 * lit) * (1 - 0.18 * across**6))[:, :, None]
    warm = np.ones(3, np.float32) + np.array([-0.06, -0.02, 0.07], np.float32) * (1 - shade)
    return np.asarray(np.asarray(look.skin, np.float32) * shade * warm)


def _shade(image: Image, look: Look, cheeks: float) -> None:
    """Eye sockets, cheeks, forehead, the shadow under the lower lip, chin, beard."""
    x, y, wide = CENTRE_X, CENTRE_Y, WIDE * look.width
    for side in (-1, 1):
        eye = x + side * 0.4 * look.eye_gap * wide
        paint(image, ellipse(at(eye, y - 7.3), 11.5, 7.5), toned(look.skin, 0.66), alpha=0.55, blur=3.5)
        paint(image, ellipse(at(eye + side * 4, y + 13), 10, 7.5), (100, 108, 210), alpha=0.16, blur=4.5)
        paint(image, ellipse(at(eye + side, y + 8.3), 8.5, 4.5), toned(look.skin, 1.2), alpha=0.3, blur=4)
        paint(image, ellipse(at(eye + side * 4, y + 8), 8.5, 5), toned(look.skin, 1.22), alpha=0.55 * cheeks, blur=3)
        paint(image, ellipse(at(eye + side * 4, y + 11), 8.5, 4.5), (120, 120, 230), alpha=0.18 * cheeks, blur=3)
    paint(image, ellipse(at(x, y - 31), 19, 8), toned(look.skin, 1.2), alpha=0.3, blur=6)
    paint(image, ellipse(at(x, y + 37.4), 8, 2), toned(look.skin, 0.66), alpha=0.5, blur=2)
    paint(image, ellipse(at(x, y + 44.7), 7.5, 4.5), toned(look.skin, 1.12), alpha=0.3, blur=3)
    if look.beard:
        edge = bend(at(x - 0.86 * wide, y + 5), at(x, y + 96), at(x + 0.86 * wide, y + 5))
        hollow = bend(at(x - 0.7 * wide, y + 10), at(x, y + 34), at(x + 0.7 * wide, y + 10))
        paint(image, between(edge, hollow), toned(look.hair, 1.1), alpha=0.5 * look.beard, blur=3)


def _nose(image: Image, look: Look) -> None:
    x, root, tip, wide = CENTRE_X, CENTRE_Y - 7.3, CENTRE_Y + 13, 6 * look.nose_width
    for side, alpha in ((-1, 0.22), (1, 0.34)):
        line = bend(at(x + side * 4.5, root), at(x + side * 2.5, CENTRE_Y), at(x + side * wide * 0.85, tip - 1))
        paint(image, stroke(line, 3.0), toned(look.skin, 0.62), alpha=alpha, blur=1.5)
    ridge = np.array([(x - 1.5, root), (x + 1.5, root), (x + 2.2, tip - 1.5), (x - 2.2, tip - 1.5)])
    paint(image, ridge, toned(look.skin, 1.25), alpha=0.4, blur=1.5)
    paint(image, ellipse(at(x - 0.5, tip - 1.5), 2.5, 2.0), toned(look.skin, 1.35), alpha=0.5, blur=1.2)
    paint(image, ellipse(at(x, tip + 4.5), wide, 2.0), toned(look.skin, 0.6), alpha=0.4, blur=1.5)
    for side in (-1, 1):
        nostril = ellipse(at(x + side * 0.5 * wide, tip + 2), 1.7, 0.9)
        paint(image, nostril, toned(look.skin, 0.25), alpha=0.85, blur=0.4)


def _front(look: Look, u: Field, v: Field) -> Field:
    """Where hair is in front of the head, 0..1."""
    line: Field = {
        "short": -0.66 + 0.07 * u**2 + 0.012 * np.sin(40 * u),
        "parted": -0.7 + 0.2 * np.abs(u - 0.35) ** 1.5,
        "fringe": -0.57 + 0.02 * np.sin(30 * u),
        "long": -0.8 + 0.34 * np.abs(u + 0.1),
        "bun": -0.8 + 0.28 * u**2,
        "curly": -0.64 + 0.03 * np.sin(14 * u + 1),
        "receding": -0.9 + 0.5 * np.clip(np.abs(u) - 0.55, 0, 1),
    }[look.style]
    sides = 1.2 * np.clip(np.abs(u) - 0.8, 0, 1) / 0.2 * (0.9 if look.style in ("long", "curly") else 0.5)
    thin = 0.75 if look.style == "receding" else 1.0
    return _cap(look, u, v) * _edge(line + sides - v, 13) * np.float32(thin)


def _cap(look: Look, u: Field, v: Field) -> Field:
    wave = 0.035 * np.sin(9 * np.arctan2(u, -v) + look.seed % 7) if look.style == "curly" else 0.0
    size = {"curly": 1.22, "receding": 1.02, "short": 1.05, "bun": 1.05}.get(look.style, 1.1)
    return _edge(size + wave - np.hypot(u, v + 0.03), 20)


def _behind(look: Look, u: Field, v: Field) -> Field:
    """Where hair is behind the head, 0..1: the cap seen from the front, a curtain of long hair, a bun."""
    where = _cap(look, u, v) * (v < 0.1)
    down = {"long": 1.3, "curly": 0.35, "fringe": 0.7}.get(look.style)
    if down is not None:
        curtain = _edge(1.14 + 0.06 * v + 0.02 * np.sin(9 * v) - np.abs(u), 15) * _edge(down - v, 10) * (v > -0.2)
        where = np.maximum(where, curtain)
    if look.style == "bun":
        where = np.maximum(where, _edge(0.34 - np.hypot(u, v + 1.12), 20))
    return np.asarray(where, np.float32)


def _strands(look: Look, v: Field) -> Image:
    """The colour of the hair, in streaks, with a sheen near the crown; faint, or face detectors see eyes in it."""
    rng = np.random.default_rng(look.seed)
    streaks = np.asarray(cv2.resize(rng.standard_normal((8, 96)).astype(np.float32), (WIDTH, HEIGHT)))
    return _flat(look.hair, 1 + 0.05 * streaks + 0.15 * np.exp(-(((v + 0.85) / 0.14) ** 2)))

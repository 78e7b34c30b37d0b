"""The moving features of a drawn face, as shapes over the frames of a film: eyes, brows, mouth, creases.

Every function takes the action units as arrays (T,) by number and where the face is, and returns what to draw in order.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emobraid.data.sample.canvas import Colour, Points, at, bend, between, ellipse, stroke
from emobraid.data.sample.look import Look, toned
from emobraid.data.sample.portrait import TALL, WIDE

Track = NDArray[np.float64]  # (T,)
Units = Mapping[int, Track]

DARK = 26.0, 22.0, 28.0
SPAN = np.linspace(-1, 1, 17)  # from one corner of an eye or a mouth to the other
BOW = np.clip(1 - SPAN**2, 0, 1)
THINNING = np.array([2.7, 3.7, 3.4, 3.1, 2.8, 2.4, 1.9, 1.3, 0.7])  # a brow, from the nose outwards


class Shape(NamedTuple):
    """A filled polygon in every frame where `shown` is positive."""

    points: Points  # (T, N, 2)
    colour: Colour
    shown: Track


class Crease(NamedTuple):
    """A darkening of the skin, 0..1 deep."""

    points: Points  # (T, N, 2)
    depth: Track


def shapes(look: Look, au: Units, x: Track, y: Track) -> Iterator[Shape]:
    """Eyes, brows and mouth of a face around x, y."""
    for side in (-1, 1):
        eye = x + side * 0.4 * look.eye_gap * WIDE * look.width
        yield from _eye(look, au, side, eye, y - 5.2)
        yield _brow(look, au, side, eye, y - 5.2 - 12.5 * look.brow_height)
    yield from _mouth(look, au, x, y + 0.52 * TALL)


def creases(look: Look, au: Units, x: Track, y: Track) -> Iterator[Crease]:
    """Lids, crow's feet, frown, forehead, nose, folds beside the mouth, chin."""
    yield from _between_brows(look, au, x, y)
    for side in (-1, 1):
        eye = x + side * 0.4 * look.eye_gap * WIDE * look.width
        yield from _around_eye(look, au, side, eye, y - 5.2)
        yield from _beside_mouth(look, au, side, x, y)
    chin = bend(at(x - 7.5, y + 36), at(x, y + 33), at(x + 7.5, y + 36))
    yield _crease(look, chin + at(0, 6.5 * au[26])[:, None], 0.5 * au[17], 1.6)
    yield Crease(ellipse(at(x, y + 42 + 6.5 * au[26]), 5.5, 2.5), 0.16 * au[17])


def _crease(look: Look, line: Points, depth: ArrayLike, width: float = 1.1) -> Crease:
    taper = width * np.sin(np.linspace(0.2, np.pi - 0.2, line.shape[-2]))
    return Crease(stroke(line, taper), np.broadcast_to(depth, len(line)) * (0.42 + 0.13 * look.age))


def _lids(look: Look, au: Units, side: int, x: Track, y: Track) -> tuple[Points, Points]:
    """The upper and the lower rim of an eye, each (T, N, 2)."""
    upper = look.eye_size * 3.5 * (1 + 0.9 * au[5] - 0.4 * au[7] - 0.15 * au[6]) * (1 - au[43]) - 0.75 * au[43]
    lower = look.eye_size * 2.75 * (1 + 0.2 * au[5] - 0.5 * au[7] - 0.55 * au[6]) * (1 - 0.6 * au[43])
    xs, middle = x[:, None] + 8.2 * look.eye_size * SPAN, y[:, None] - 0.65 * side * SPAN
    return at(xs, middle - upper[:, None] * BOW**0.75), at(xs, middle + lower[:, None] * BOW**0.75)


def _eye(look: Look, au: Units, side: int, x: Track, y: Track) -> Iterator[Shape]:
    lid, rim = _lids(look, au, side, x, y)
    is_open = (rim - lid)[:, 8, 1] - 0.9
    yield Shape(between(lid, rim), (218, 222, 226), is_open)
    yield Shape(between(lid, np.minimum(lid + np.array([0, 1.5]), np.maximum(lid, rim))), (150, 152, 160), is_open)
    for size, colour in ((3.6, look.iris), (1.8, DARK)):
        disc = ellipse(at(x, y - 0.3), size * look.eye_size, size * look.eye_size)
        across = 8 + (disc[..., 0] - x[:, None]) / (8.2 * look.eye_size) * 8  # where on SPAN each corner is
        low, high = (_along(edge[..., 1], across) for edge in (lid, rim))
        yield Shape(at(disc[..., 0], np.clip(disc[..., 1], low, np.maximum(low, high))), colour, is_open)
    yield Shape(
        ellipse(at(x - 1.2, np.maximum(y - 1.6, lid[:, 8, 1] + 1.2)), 0.85, 0.85), (250, 250, 250), is_open - 2.5
    )
    yield Shape(stroke(lid, 0.7 + 1.2 * BOW**0.75), toned(DARK, 1.2), np.ones(len(x)))


def _along(values: NDArray[np.float64], place: NDArray[np.float64]) -> NDArray[np.float64]:
    """`values` (T, N) read between their columns at `place` (T, K)."""
    left = np.clip(place.astype(int), 0, values.shape[1] - 2)
    a, b = np.take_along_axis(values, left, 1), np.take_along_axis(values, left + 1, 1)
    return a + (b - a) * (place - left)


def _brow(look: Look, au: Units, side: int, x: Track, y: Track) -> Shape:
    inner = at(x - side * (8.5 + 2.5 * au[4]), y + 1 - 5 * au[1] + 4.5 * au[4] + 3 * au[9])
    middle = at(x + side * 2, y - 3 - 2.5 * au[1] - 4.5 * au[2] + 3 * au[4] + 2 * au[9])
    outer = at(x + side * 12.5, y + 2 + au[1] - 4.5 * au[2] + 0.5 * au[4])
    colour = toned(look.hair, 0.7)
    softened = [0.85 * c + 0.15 * s for c, s in zip(colour, look.skin, strict=True)]
    area = stroke(bend(inner, middle, outer), look.brow_width * THINNING)
    return Shape(area, (softened[0], softened[1], softened[2]), np.ones(len(x)))


def _around_eye(look: Look, au: Units, side: int, x: Track, y: Track) -> Iterator[Crease]:
    lid, rim = _lids(look, au, side, x, y)
    yield _crease(look, lid[:, 2:-2] - at(0, 2.5 - au[5])[:, None], 0.55 - 0.3 * au[43])
    yield _crease(look, rim[:, 1:-1] + (0, 0.4), 0.45, 0.8)
    yield _crease(look, rim[:, 2:-2] + (0, 3.0), 0.15 * look.age + 0.5 * np.maximum(au[6], au[7]))
    for tilt in (-2.5, 0.5, 3.5):
        start, end = at(x + side * 9.5 * look.eye_size, y + 0.4 * tilt), at(x + side * 15.5, y + 1.3 * tilt)
        yield _crease(look, bend(start, (start + end) / 2, end), 0.6 * au[6], 0.8)


def _between_brows(look: Look, au: Units, x: Track, y: Track) -> Iterator[Crease]:
    """Lines across the forehead, the frown, and the wrinkles of the nose's root."""
    raised = np.clip(0.4 * au[1] + 0.6 * au[2] - 0.3 * au[4], 0, 1)
    for height, wide in ((0.52, 15), (0.59, 18)):
        line = y - height * TALL - 2 * raised
        arc = bend(at(x - wide, line + 1.5), at(x, line - 2), at(x + wide, line + 1.5))
        yield _crease(look, arc, 0.55 * raised + 0.05 * look.age, 1.0)
    for side in (-1, 1):
        frown = bend(at(x + side * 2.5, y - 20), at(x + side * 1.7, y - 15.5), at(x + side * 3, y - 11.5))
        yield _crease(look, frown, 0.85 * au[4], 1.4)
        for step in (0, 3, 6):
            root = y - 7.5 + step
            wrinkle = bend(at(x, root - 0.5), at(x + side * 3, root), at(x + side * 6, root + 2.5))
            yield _crease(look, wrinkle, 0.8 * au[9], 1.2)


def _beside_mouth(look: Look, au: Units, side: int, x: Track, y: Track) -> Iterator[Crease]:
    """The wing of the nose, and the fold from it to the corner of the mouth."""
    wide = 6 * look.nose_width
    tip = y + 13 - 1.5 * au[9]
    wing = bend(
        at(x + side * 0.8 * wide, tip - 3), at(x + side * (wide + 2), tip + 0.5), at(x + side * 0.75 * wide, tip + 2.5)
    )
    yield _crease(look, wing, 0.55 + 0.4 * au[9], 1.2)
    pull = 4.5 * au[12] + 2.5 * au[20]
    start, end = (
        at(x + side * 7.5 * look.nose_width, y + 10.4 - 2 * au[9]),
        at(x + side * (16.5 + pull), y + 26 - 2 * au[12]),
    )
    deep = np.maximum.reduce([au[12], au[10], 0.7 * au[9], 0.5 * au[15], 0.4 * au[20]])
    fold = bend(start, at(x + side * (15 + pull), y + 14.6), end)
    yield _crease(look, fold, 0.06 + 0.12 * look.age + 0.6 * deep, 1.5)


def _mouth(look: Look, au: Units, x: Track, y: Track) -> Iterator[Shape]:
    half = 13 * (1 + 0.32 * au[12] + 0.3 * au[20] - 0.08 * au[23] - 0.28 * au[26] * (1 - au[12]) - 0.05 * au[17])
    lift = 5.5 * au[12] - 5 * au[15] - 1.5 * au[20]
    gap = np.clip(2.8 * au[25] + 13 * au[26] + 2.5 * au[10] * (1 - 0.3 * au[17]) - 2 * au[23], 0, None)
    thin = (1 - 0.6 * au[23]) * look.lips
    columns = (
        half,
        lift,
        gap,
        thin,
        y + 0.35 * lift + 2 * au[26] - 1.5 * au[17] - 2 * au[10],
        x,
        au[10],
        au[12],
        au[17],
    )
    half, lift, gap, thin, middle, x, raise_, smile, chin = (column[:, None] for column in columns)
    xs, bow, corners = x + half * SPAN, BOW**0.6, lift * np.abs(SPAN) ** 1.7
    top = middle - 0.55 * corners - 0.45 * lift * SPAN**6 - (0.3 * gap + 1.5 * raise_) * bow
    bottom = middle - corners + 0.7 * gap * bow
    bottom = np.maximum(top, bottom)
    upper = 3.0 * thin * (1 - 0.25 * smile) * bow * (1 - 0.25 * np.exp(-((SPAN / 0.16) ** 2)))
    lower = 4.0 * thin * (1 - 0.2 * smile + 0.2 * chin) * bow
    yield from _lips(look, at(xs, top - upper), at(xs, top), at(xs, bottom), at(xs, bottom + lower))


def _lips(look: Look, crest: Points, top: Points, bottom: Points, edge: Points) -> Iterator[Shape]:
    """Lips between their outer lines `crest` and `edge`; teeth and tongue where `top` and `bottom` leave a gap."""
    blue, green, red = look.skin
    lip = 0.62 * blue, 0.62 * green, 0.9 * red
    always, gap = np.ones(len(top)), (bottom - top)[:, 8, 1]
    yield Shape(between(crest, top), toned(lip, 0.86), always)
    yield Shape(between(bottom, edge), lip, always)
    yield Shape(ellipse((bottom + edge)[:, 8] / 2, 3.5, 0.6), toned(lip, 1.13), always)
    yield Shape(between(top, bottom), (34, 26, 52), gap - 0.4)
    tongue = at(bottom[:, 4:13, 0], bottom[:, 4:13, 1] - 0.4 * gap[:, None] * BOW[::2] ** 0.5)
    yield Shape(between(tongue, bottom[:, 4:13]), (88, 82, 156), gap - 3.0)
    teeth = np.minimum(top + np.array([0, 3.2]), top + 0.75 * (bottom - top))
    yield Shape(between(top, teeth), (218, 226, 230), gap - 0.6)
    yield Shape(stroke(top, 0.8), toned(lip, 0.45), 0.6 - gap)

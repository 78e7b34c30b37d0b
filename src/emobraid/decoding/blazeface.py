"""Faces in a picture, with eyes and mouth: MediaPipe's BlazeFace short range, checked by its face mesh.

BlazeFace (Bazarevsky et al. 2019, arXiv:1907.05047) proposes; it was made for 128 x 128 pixels, but its convolutions
take any size. It finds faces in moons and motorbikes too, so the mesh (Kartynnik et al. 2019, arXiv:1907.06724) is laid
on each proposal, three times, each time where it was last: on a face it stays, and says that there is one. Both
networks come with the package, see nets/README.md.
Shapes: N proposals, H x W pixels, h x w cells of a network's grid.
"""

from collections.abc import Iterator
from importlib.resources import files
from typing import NamedTuple

import cv2
import numpy as np

Image = np.ndarray  # (H, W, 3) uint8 RGB
Points = (
    np.ndarray
)  # (3, 2) x, y of the eye to the left and the eye to the right as they stand in the picture, the mouth

LIKELY = 0.5  # of BlazeFace's score, as its makers have it
LEAST = 0.1  # of BlazeFace's score for a place to be looked at with the mesh
GRIDS = {8: 2, 16: 6}  # pixels between cells, anchors in each cell
MESH = 192  # pixels of the mesh's view
VIEW = 1.5  # sides of a face in it
HEADS = ("classificator_8", "regressor_8", "classificator_16", "regressor_16")
EYES_AND_MOUTH = ((33, 133), (263, 362), (13, 14))  # of the mesh's 468 points: corners of the eyes, middle of the lips
SURE = 3.0  # log odds of the mesh, where BlazeFace is sure as well
HOPELESS = -7.0  # log odds in the first view: of 300 stills of faces, 4 are below
AGREED = 0.55  # BlazeFace's score of the levelled face, where the mesh alone would do


class Look(NamedTuple):
    """How closely an image is looked at."""

    longest: int  # pixels of its longer side as BlazeFace sees it
    places: int  # that are looked at with the mesh, at most
    enough: float  # what a place must reach: log odds in three views, less for points that move between them


NEAR = Look(128, 1, 3.0)  # where a face was just before: it fills half of the image
WHOLE = Look(192, 3, 3.0)  # a face of a tenth of the longer side has 19 pixels
CLOSER = Look(512, 5, 8.0)  # one of a twentieth 26; where more places are looked at, more is asked of each


class Proposal(NamedTuple):
    """A place where there may be a face."""

    score: float  # 0 to 1
    centre: np.ndarray  # (2,) x, y
    side: float  # pixels of its box
    points: Points


class BlazeFace:
    """Both networks, for one thread. `find` gives eyes and mouths (N, 3, 2) of the faces in an image, largest first."""

    def __init__(self) -> None:
        folder = files("emobraid.decoding") / "nets"
        self._detector = np.frombuffer((folder / "face_detection_short_range.tflite").read_bytes(), np.uint8)
        self._mesh = cv2.dnn.readNetFromTFLite(np.frombuffer((folder / "face_landmark.tflite").read_bytes(), np.uint8))
        self._sized: dict[tuple[int, int], cv2.dnn.Net] = {}

    def find(self, image: Image, look: Look = WHOLE) -> np.ndarray:
        """Points (N, 3, 2) of the faces in an image (H, W, 3) uint8 RGB, in its pixels."""
        faces: list[Points] = []
        for place in self._proposals(image, look):
            if faces and place.score < LIKELY:  # beside a face that is there, only what looks like one as well
                break
            if (points := self._settled(image, place, look.enough)) is not None:
                faces.append(points)
        return np.array(sorted(apart(faces), key=extent, reverse=True)).reshape(-1, 3, 2)

    def _proposals(self, image: Image, look: Look) -> list[Proposal]:
        """The likeliest places, no two of them the same."""
        scores, boxes = self._look(image, look.longest)
        likely = np.flatnonzero(scores >= LEAST)
        likely = likely[np.argsort(-scores[likely], kind="stable")][:300]
        kept: list[Proposal] = []
        for i in likely:
            centre, side = boxes[i, 0], float(boxes[i, 1].max())
            if side >= 1 and all(np.abs(centre - k.centre).max() > 0.5 * max(side, k.side) for k in kept):
                kept.append(Proposal(float(scores[i]), centre, side, boxes[i, [2, 3, 5]]))
            if len(kept) == look.places:
                break
        return kept

    def _look(self, image: Image, longest: int) -> tuple[np.ndarray, np.ndarray]:
        """BlazeFace on the whole image: scores (N,), and (N, 8, 2) centre, size, six points in pixels of the image."""
        height, width = image.shape[:2]
        scale = longest / max(height, width)
        w, h = max(round(width * scale), 1), max(round(height * scale), 1)
        small = cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        size = (-(-w // 16) * 16, -(-h // 16) * 16)
        padded = cv2.copyMakeBorder(small, 0, size[1] - h, 0, size[0] - w, cv2.BORDER_CONSTANT, value=(127, 127, 127))
        scores, boxes = self._forward(padded, size)
        return scores, boxes / [w / width, h / height]

    def _forward(self, image: Image, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        network = self._network(size)
        network.setInput(cv2.dnn.blobFromImage(image, 1 / 127.5, size, (127.5, 127.5, 127.5)))
        heads = network.forward(HEADS)
        scores, boxes = [], []
        for (step, anchors), odds, places in zip(GRIDS.items(), heads[::2], heads[1::2], strict=True):
            h, w = odds.shape[2:]
            at = (np.stack(np.meshgrid(np.arange(w), np.arange(h)), -1)[:, :, None] + 0.5) * step  # (h, w, 1, 2)
            here = places[0].transpose(1, 2, 0).reshape(h, w, anchors, 8, 2).astype(np.float64)
            here[..., 0, :] += at
            here[..., 2:, :] += at[:, :, :, None]
            scores.append(odds[0].transpose(1, 2, 0).ravel().astype(np.float64))
            boxes.append(here.reshape(-1, 8, 2))
        return 1 / (1 + np.exp(-np.concatenate(scores).clip(-50, 50))), np.concatenate(boxes)

    def _network(self, size: tuple[int, int]) -> cv2.dnn.Net:
        """One for each size, as a change of size costs more than a look; the last few of them."""
        if size not in self._sized:
            if len(self._sized) >= 4:
                del self._sized[next(iter(self._sized))]
            self._sized[size] = cv2.dnn.readNetFromTFLite(self._detector)
        return self._sized[size]

    def _settled(self, image: Image, place: Proposal, enough: float) -> Points | None:
        """Eyes and mouth of a place as the mesh finds them in the end, or None where there is no face."""
        first, points = self._laid(image, place.points)
        if first < HOPELESS:
            return None
        if place.score > 0.6 and first > SURE:
            return points
        odds, last = first, points
        for mirrored in (False, True):
            sure, now = self._laid(image, last, mirrored=mirrored)
            odds += sure - 5 * moved(last, now)
            last = now
        odds += 5 * (place.score - moved(place.points, points))
        return last if odds >= enough and self._agrees(image, last) else None

    def _laid(self, image: Image, points: Points, *, mirrored: bool = False) -> tuple[float, Points]:
        """The mesh where `points` say that a face is: log odds that there is one, and the points as it has them."""
        view, matrix = levelled(image, points, MESH, VIEW)
        self._mesh.setInput(cv2.dnn.blobFromImage(view[:, ::-1] if mirrored else view, 1 / 255))
        odds, mesh = sorted(self._mesh.forward(self._mesh.getUnconnectedOutLayersNames()), key=np.size)
        places = mesh.reshape(-1, 3)[:, :2].astype(np.float64)
        own = np.array([places[list(some)].mean(0) for some in EYES_AND_MOUTH])
        if mirrored:
            own = own[[1, 0, 2]] * [-1, 1] + [MESH - 1, 0]
        return float(odds.item()), (own - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T

    def _agrees(self, image: Image, points: Points) -> bool:
        """Whether BlazeFace sees a face in the middle of the levelled view, or of its mirror image."""
        side = 128
        view, _ = levelled(image, points, side, 1.6)
        for seen in (view, np.ascontiguousarray(view[:, ::-1])):
            scores, boxes = self._forward(seen, (side, side))
            middle = (np.abs(boxes[:, 0] - side / 2) < side / 4).all(axis=1)
            if scores[middle].max(initial=0) >= AGREED:
                return True
        return False


def levelled(image: Image, points: Points, size: int, sides: float) -> tuple[Image, np.ndarray]:
    """A square view of `size` pixels, `sides` faces wide, with level eyes; and the matrix (2, 3) from image to view."""
    centre, side, tilt = framed(points)
    k = size / max(side * sides, 1e-3)
    turn = k * np.array([[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]])
    matrix = np.concatenate([turn, (size / 2 - turn @ centre)[:, None]], axis=1)
    return warped(image, matrix, size), matrix


def warped(image: Image, matrix: np.ndarray, size: int) -> Image:
    """The square that `matrix` (2, 3), a turn and a scale, makes of an image, shrunk first where pixels would be left
    out. Beyond the edge the last pixels go on. Places count from the edge of the first pixel, not from its middle."""
    turn, shift = matrix[:, :2], matrix[:, 2]
    scale = float(np.hypot(*matrix[0, :2]))
    if scale < 0.5:
        height, width = image.shape[:2]
        small = (max(round(width * 2 * scale), 1), max(round(height * 2 * scale), 1))
        image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
        turn = turn * [width / small[0], height / small[1]]
    shift = shift + turn @ [0.5, 0.5] - 0.5  # OpenCV counts from the middle
    whole = np.concatenate([turn, shift[:, None]], axis=1)
    return np.asarray(cv2.warpAffine(image, whole, (size, size), borderMode=cv2.BORDER_REPLICATE))


def framed(points: Points) -> tuple[np.ndarray, float, float]:
    """Centre, side and tilt of a face, from eyes and mouth.

    A head that turns away brings its eyes together, one that nods eyes and mouth: the longer of both says how large it
    is. In the middle it is the box of the cascade that was here before (238 stills of FER2013: median ratio of the
    sides 1.00), from which older models learned.
    """
    left, right, mouth = points
    eyes, across = (left + right) / 2, right - left
    down = mouth - eyes
    side = max(np.hypot(*across) / 0.43, np.hypot(*down) / 0.42)
    return eyes + 0.27 * down, float(side), float(np.arctan2(across[1], across[0]))


def extent(points: Points) -> float:
    return framed(points)[1]


def moved(before: Points, after: Points) -> float:
    """How far the farthest point went, in distances of the eyes."""
    return float(np.abs(after - before).max() / max(np.hypot(*(after[1] - after[0])), 1e-6))


def apart(faces: list[Points]) -> Iterator[Points]:
    """The faces, each once: two places may settle on one."""
    kept: list[np.ndarray] = []
    for points in faces:
        centre, side, _ = framed(points)
        if all(np.abs(centre - other).max() > 0.5 * side for other in kept):
            kept.append(centre)
            yield points

"""Face crops from frames: found now and then, followed in between, never guessed.

Shapes: T frames, H x W pixels.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from cv2.data import haarcascades

from emobraid.decoding.tracks import join
from emobraid.media import Faces

SMALLEST_FACE = 0.1  # of the longer side of a frame
FACE_PIXELS = 32  # side of the smallest face as the detector sees it
MARGIN = 0.15  # of the face box, on every side
DETECTIONS = 10  # at most, in one clip; boxes in between are interpolated

Image = np.ndarray  # (H, W, 3) uint8 RGB
Box = np.ndarray  # (4,) float: x, y, width, height in pixels; Boxes are (N, 4)
Detector = Callable[[Image, float], np.ndarray]  # image, smallest face as a part of its longer side -> Boxes

NO_FACES = Faces(np.empty((0, 1, 1, 3), np.uint8), np.empty(0, np.float32))


def haar() -> Detector:
    """The cascade of Viola and Jones (2001) that comes with OpenCV 4."""
    # alt2: of the frontal cascades, the one without false alarms on the pictures we tried
    cascade = cv2.CascadeClassifier(haarcascades + "haarcascade_frontalface_alt2.xml")

    def detect(image: Image, smallest: float) -> np.ndarray:
        small, scale = working_size(image, smallest)
        grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
        boxes = cascade.detectMultiScale(grey, 1.1, 3, minSize=(FACE_PIXELS, FACE_PIXELS))
        return np.asarray(boxes, dtype=np.float64).reshape(-1, 4) / scale

    return detect


def yunet(model: str) -> Detector:
    """YuNet (Wu et al. 2023, Machine Intelligence Research 20) from an ONNX file."""
    network = cv2.FaceDetectorYN.create(model, "", (320, 320), score_threshold=0.7)

    def detect(image: Image, smallest: float) -> np.ndarray:
        small, scale = working_size(image, smallest)
        network.setInputSize(small.shape[1::-1])
        _, faces = network.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
        return np.zeros((0, 4)) if faces is None else faces[:, :4].astype(np.float64) / scale

    return detect


def working_size(image: Image, smallest: float) -> tuple[Image, float]:
    """The image with its smallest face at FACE_PIXELS; it grows only where it is tiny itself."""
    longest = max(image.shape[:2])
    scale = min(FACE_PIXELS / smallest, max(longest, 4 * FACE_PIXELS)) / longest
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=method), scale


def bordered(detect: Detector) -> Detector:
    """The same detector on the picture with a border, for pictures that are a tightly cropped face already."""

    def detect_inside(image: Image, smallest: float) -> np.ndarray:
        edge = max(image.shape[:2]) // 4
        framed = cv2.copyMakeBorder(image, edge, edge, edge, edge, cv2.BORDER_REPLICATE)
        return np.subtract(detect(framed, smallest), [edge, edge, 0, 0])

    return detect_inside


def faces_in(images: Sequence[Image], times: Sequence[float], request: Mapping[str, Any], detect: Detector) -> Faces:
    """Square crops of one face through all `images`, with `times`; what it looks for, it looks for in order of time."""
    if not images:
        return NO_FACES._replace(note="no frames")
    every = math.ceil(len(images) / DETECTIONS)
    boxes, several = follow(images[::every], detect)
    if not boxes:
        boxes, several = follow(images[::every], bordered(detect))
    if not boxes:
        return NO_FACES._replace(note=f"no face in {len(images)} frame{'s'[: len(images) > 1]}")
    last = (len(images) - 1) // every
    kept = [i for i in range(len(images)) if min(round(i / every), last) in boxes]
    # held before the first and after the last box, straight lines in between
    tracks = [np.interp(kept, np.array(list(boxes)) * every, [box[k] for box in boxes.values()]) for k in range(4)]
    crops = [crop(images[i], box, request["faces"]["size"]) for i, box in zip(kept, np.stack(tracks, 1), strict=True)]
    found = f"face in {len(kept)} of {len(images)} frames" if len(kept) < len(images) else ""
    crowd = f"{several} faces, read the largest" if several > 1 else ""
    return Faces(np.stack(crops), np.array([times[i] for i in kept], np.float32), join([found, crowd]))


def follow(images: Sequence[Image], detect: Detector) -> tuple[dict[int, Box], int]:
    """The box of one face by image index, where it was found, and how many faces there usually are."""
    boxes: dict[int, Box] = {}
    crowd = []
    last: Box | None = None
    for i, image in enumerate(images):
        # every fifth time, and when lost, the whole image: others may have come
        seen = near(image, last, detect) if last is not None and i % 5 else np.zeros((0, 4))
        if not len(seen):
            seen = detect(image, SMALLEST_FACE)
            crowd += [len(seen)] if len(seen) else []
        box = closest(seen, last)
        if box is not None:
            boxes[i] = box
        last = box if box is not None or i - 1 in boxes else None  # gone for two looks: any face may be next
    return boxes, sorted(crowd)[len(crowd) // 2] if crowd else 0


def near(image: Image, box: Box, detect: Detector) -> np.ndarray:
    """Boxes around the place of the last one, ten times as fast as in the whole image."""
    x, y, width, height = box
    left, top = max(int(x - width / 2), 0), max(int(y - height / 2), 0)
    part = image[top : int(y + 1.5 * height), left : int(x + 1.5 * width)]
    return detect(part, 0.3) + np.array([left, top, 0, 0]) if part.size else np.zeros((0, 4))


def closest(boxes: np.ndarray, last: Box | None) -> Box | None:
    """The largest box to begin with, then the one nearest to the last, if it moved by less than its own size."""
    if not len(boxes):
        return None
    if last is None:
        return np.asarray(boxes[(boxes[:, 2] * boxes[:, 3]).argmax()])
    moved = np.linalg.norm(boxes[:, :2] + boxes[:, 2:] / 2 - (last[:2] + last[2:] / 2), axis=1)
    return np.asarray(boxes[moved.argmin()]) if moved.min() <= last[2:].max() else None


def crop(image: Image, box: Box, size: int) -> Image:
    """A square around the box with MARGIN on every side; beyond the edge of the picture its last pixels go on."""
    x, y, width, height = box
    side = max(round(max(width, height) * (1 + 2 * MARGIN)), 1)
    left, top = round(x + (width - side) / 2), round(y + (height - side) / 2)
    above, below = max(-top, 0), max(top + side - image.shape[0], 0)
    before, after = max(-left, 0), max(left + side - image.shape[1], 0)
    square = image[max(top, 0) : top + side, max(left, 0) : left + side]
    square = cv2.copyMakeBorder(square, above, below, before, after, cv2.BORDER_REPLICATE)
    method = cv2.INTER_AREA if side >= size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(square, (size, size), interpolation=method))

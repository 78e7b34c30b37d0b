"""Face crops from frames: found now and then, followed in between, never guessed.

Shapes: T frames, H x W pixels.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from emobraid.decoding.blazeface import CLOSER, NEAR, WHOLE, BlazeFace, Image, Look, framed, warped
from emobraid.decoding.tracks import join
from emobraid.media import Faces

MARGIN = 0.15  # of the face box, on every side
DETECTIONS = 10  # at most, in one clip; boxes in between are interpolated
YUNET_PIXELS = 32  # side of the smallest face as YuNet sees it
LOOKED_FOR = "looked for faces from a twentieth of the longer side on, tilted by up to 45 degrees"

Box = np.ndarray  # (5,) float: x, y, width, height in pixels, and tilt in radians about the middle; Boxes are (N, 5)
Detector = Callable[[Image, Look], np.ndarray]  # -> Boxes

NO_FACES = Faces(np.empty((0, 1, 1, 3), np.uint8), np.empty(0, np.float32))
NO_BOXES = np.zeros((0, 5))


def blazeface() -> Detector:
    """What comes with the package: BlazeFace, checked by a face mesh."""
    network = BlazeFace()

    def detect(image: Image, look: Look) -> np.ndarray:
        return boxed(network.find(image, look))

    return detect


def yunet(model: str) -> Detector:
    """YuNet (Wu et al. 2023, Machine Intelligence Research 20) from an ONNX file."""
    network = cv2.FaceDetectorYN.create(model, "", (320, 320), score_threshold=0.7)
    smallest = {NEAR: 0.3, WHOLE: 0.1, CLOSER: 0.05}  # face, as a part of the longer side

    def detect(image: Image, look: Look) -> np.ndarray:
        longest = max(image.shape[:2])
        scale = min(YUNET_PIXELS / smallest[look], max(longest, 4 * YUNET_PIXELS)) / longest
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=method)
        network.setInputSize(small.shape[1::-1])
        _, faces = network.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
        if faces is None:
            return NO_BOXES
        points = faces[:, 4:14].reshape(-1, 5, 2).astype(np.float64) / scale  # eyes, nose, corners of the mouth
        return boxed(np.stack([points[:, 0], points[:, 1], points[:, 3:].mean(axis=1)], axis=1))

    return detect


def boxed(faces: np.ndarray) -> np.ndarray:
    """The boxes (N, 5) of faces given by their eyes and mouths (N, 3, 2)."""
    boxes = []
    for points in faces:
        centre, side, tilt = framed(points)
        boxes.append([*(centre - side / 2), side, side, tilt])
    return np.array(boxes).reshape(-1, 5)


def bordered(detect: Detector) -> Detector:
    """The same detector on the picture with a border, for pictures that are a tightly cropped face already."""

    def detect_inside(image: Image, look: Look) -> np.ndarray:
        edge = max(image.shape[:2]) // 2
        wider = cv2.copyMakeBorder(image, edge, edge, edge, edge, cv2.BORDER_REPLICATE)
        return np.subtract(detect(wider, look), [edge, edge, 0, 0, 0])

    return detect_inside


def faces_in(images: Sequence[Image], times: Sequence[float], request: Mapping[str, Any], detect: Detector) -> Faces:
    """Square crops of one face through all `images`, with `times`; what it looks for, it looks for in order of time."""
    if not images:
        return NO_FACES._replace(note="no frames")
    every = math.ceil(len(images) / DETECTIONS)
    boxes, several = searched(images[::every], detect)
    if not boxes:
        return NO_FACES._replace(note=f"no face in {len(images)} frame{'s'[: len(images) > 1]} ({LOOKED_FOR})")
    last = (len(images) - 1) // every
    kept = [i for i in range(len(images)) if min(round(i / every), last) in boxes]
    # held before the first and after the last box, straight lines in between
    tracks = [np.interp(kept, np.array(list(boxes)) * every, [box[k] for box in boxes.values()]) for k in range(5)]
    crops = [crop(images[i], box, request["faces"]["size"]) for i, box in zip(kept, np.stack(tracks, 1), strict=True)]
    found = f"face in {len(kept)} of {len(images)} frames" if len(kept) < len(images) else ""
    crowd = f"{several} faces, read the largest" if several > 1 else ""
    return Faces(np.stack(crops), np.array([times[i] for i in kept], np.float32), join([found, crowd]))


def searched(images: Sequence[Image], detect: Detector) -> tuple[dict[int, Box], int]:
    """As `follow`: as they are, then as tight crops of a face, then for small faces."""
    for found, look in ((detect, WHOLE), (bordered(detect), WHOLE), (detect, CLOSER)):
        boxes, several = follow(images, found, look)
        if boxes:
            return boxes, several
    return {}, 0


def follow(images: Sequence[Image], detect: Detector, look: Look = WHOLE) -> tuple[dict[int, Box], int]:
    """The box of one face by image index, where it was found, and how many faces there usually are."""
    boxes: dict[int, Box] = {}
    crowd = []
    last: Box | None = None
    for i, image in enumerate(images):
        # every fifth time, and when lost, the whole image: others may have come
        seen = near(image, last, detect) if last is not None and i % 5 else NO_BOXES
        if not len(seen):
            seen = detect(image, look)
            crowd += [len(seen)] if len(seen) else []
        box = closest(seen, last)
        if box is not None:
            boxes[i] = box
        last = box if box is not None or i - 1 in boxes else None  # gone for two looks: any face may be next
    return boxes, sorted(crowd)[len(crowd) // 2] if crowd else 0


def near(image: Image, box: Box, detect: Detector) -> np.ndarray:
    """Boxes around the place of the last one, faster than in the whole image."""
    x, y, width, height, _ = box
    left, top = max(int(x - width / 2), 0), max(int(y - height / 2), 0)
    part = image[top : max(int(y + 1.5 * height), 0), left : max(int(x + 1.5 * width), 0)]
    return detect(part, NEAR) + np.array([left, top, 0, 0, 0]) if part.size else NO_BOXES


def closest(boxes: np.ndarray, last: Box | None) -> Box | None:
    """The largest box to begin with, then the one nearest to the last, if it moved by less than its own size."""
    if not len(boxes):
        return None
    if last is None:
        return np.asarray(boxes[(boxes[:, 2] * boxes[:, 3]).argmax()])
    moved = np.linalg.norm(boxes[:, :2] + boxes[:, 2:4] / 2 - (last[:2] + last[2:4] / 2), axis=1)
    return np.asarray(boxes[moved.argmin()]) if moved.min() <= last[2:4].max() else None


def crop(image: Image, box: Box, size: int) -> Image:
    """A square of `size` pixels around the box with MARGIN on every side, its eyes level; beyond the edge of the
    picture its last pixels go on."""
    x, y, width, height, tilt = box
    scale = size / max(max(width, height) * (1 + 2 * MARGIN), 1e-3)
    turn = scale * np.array([[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]])
    shift = size / 2 - turn @ [x + width / 2, y + height / 2]
    return warped(image, np.concatenate([turn, shift[:, None]], axis=1), size)


def crop_of(image: Image, size: int, detect: Detector) -> Image | None:
    """The largest face of a still (H, W, 3) uint8 RGB, levelled, as (size, size, 3); None where there is none.

    The same crop that a file gives: `crop_of(image, 96, blazeface())`.
    """
    boxes, _ = searched([image], detect)
    return crop(image, boxes[0], size) if boxes else None

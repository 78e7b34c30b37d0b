"""How many faces are found, how fast, and how many are found where there are none.

    python benchmarks/faces.py DATA [--stills 3589] [--pictures 500]

DATA (or the environment variable EMOBRAID_DATA) holds `fer2013`, of whose PrivateTest stills some are taken: as they
are, enlarged to 192 pixels with a border of half of that, turned, and as small faces in scenes of 640 x 480.
Pictures without a face are photographs of scikit-image and scikit-learn that hold none, parts of them, noise, clouds,
gratings, drawn scenes, houses, letters and spectrograms of drawn sounds.
"""

import argparse
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import skimage.data
import sklearn.datasets

from emobraid.decoding.blazeface import CLOSER, WHOLE
from emobraid.decoding.faces import Detector, blazeface, bordered, searched

Image = np.ndarray
PHOTOGRAPHS = ["brick", "cell", "chelsea", "clock", "coffee", "grass", "gravel", "hubble_deep_field", "logo", "moon"]
PHOTOGRAPHS += [
    "immunohistochemistry",
    "microaneurysms",
    "page",
    "rocket",
    "text",
    "checkerboard",
    "colorwheel",
    "horse",
]
SIZES = ((480, 640), (720, 1280), (240, 320), (512, 512), (96, 96), (640, 360))


def stills(data: Path, count: int) -> list[Image]:
    kept = np.load(data / "fer2013" / "fer2013_jpeg.npz")
    blob, offsets = kept["blob"], kept["offset"]
    chosen = np.flatnonzero(kept["split"] == 2)  # they lie by label, so some of them are taken evenly
    chosen = chosen[np.linspace(0, len(chosen) - 1, min(count, len(chosen))).round().astype(int)]
    return [np.asarray(cv2.imdecode(blob[offsets[i] : offsets[i + 1]], cv2.IMREAD_COLOR_RGB)) for i in chosen]


def enlarged(still: Image, share: float = 0.5) -> Image:
    large = cv2.resize(still, (192, 192), interpolation=cv2.INTER_CUBIC)
    edge = int(192 * share)
    return cv2.copyMakeBorder(large, edge, edge, edge, edge, cv2.BORDER_REPLICATE)


def turned(still: Image, degrees: float) -> Image:
    wide = enlarged(still, 1.0)
    matrix = cv2.getRotationMatrix2D((288, 288), degrees, 1)
    return cv2.warpAffine(wide, matrix, wide.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)


def small(still: Image, side: int, draw: np.random.Generator, scenes: list[Image]) -> Image:
    """A still whose face is `side` pixels wide, somewhere in a scene."""
    scene, pixels = scenes[draw.integers(len(scenes))].copy(), round(side / 0.72)
    x, y = draw.integers(0, 640 - pixels), draw.integers(0, 480 - pixels)
    method = cv2.INTER_AREA if pixels < 48 else cv2.INTER_CUBIC
    scene[y : y + pixels, x : x + pixels] = cv2.resize(still, (pixels, pixels), interpolation=method)
    return scene


def how(image: Image, detect: Detector) -> str:
    """Which look finds a face first; empty when none does."""
    for name, found, look in (
        ("whole", detect, WHOLE),
        ("border", bordered(detect), WHOLE),
        ("closer", detect, CLOSER),
    ):
        if len(found(image, look)):
            return name
    return ""


def picture(name: str) -> Image:
    return np.asarray(getattr(skimage.data, name)())


def photographs() -> list[Image]:
    some = [picture(name) for name in PHOTOGRAPHS]
    some = [(p * 255).astype(np.uint8) if p.dtype != np.uint8 else p for p in some]
    some = [np.repeat(p[..., None], 3, axis=2) if p.ndim == 2 else p[..., :3] for p in some]
    return [*some, *map(np.asarray, sklearn.datasets.load_sample_images().images)]


def without_faces(count: int) -> Iterator[Image]:
    draw, photos = np.random.default_rng(1), photographs()
    kinds: list[Callable[[np.random.Generator], Image]] = [noise, clouds, grating, scene, houses, letters, spectrogram]
    yield from photos[:count]
    for i in range(count - len(photos)):
        if i % 10 < 3:
            yield part(photos[draw.integers(len(photos))], draw)
        else:
            yield kinds[i % 10 - 3](draw)


def part(photo: Image, draw: np.random.Generator) -> Image:
    height, width = (int(s * draw.uniform(0.3, 0.9)) for s in photo.shape[:2])
    y, x = draw.integers(0, photo.shape[0] - height + 1), draw.integers(0, photo.shape[1] - width + 1)
    scale = draw.choice([160, 320, 640, 960]) / max(height, width)
    return cv2.resize(photo[y : y + height, x : x + width], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def size(draw: np.random.Generator) -> tuple[int, int]:
    return SIZES[draw.integers(len(SIZES))]


def stretched(values: np.ndarray) -> Image:
    return ((values - values.min()) / max(np.ptp(values), 1e-9) * 255).astype(np.uint8)


def noise(draw: np.random.Generator) -> Image:
    return draw.integers(0, 256, (*size(draw), 3), dtype=np.uint8)


def clouds(draw: np.random.Generator) -> Image:
    height, width = size(draw)
    layers = (cv2.resize(draw.normal(size=(2**n, 2**n, 3)), (width, height)) / 2 ** (n * 0.7) for n in range(2, 8))
    return stretched(np.sum(list(layers), axis=0))


def grating(draw: np.random.Generator) -> Image:
    height, width = size(draw)
    y, x = np.mgrid[:height, :width]
    wave, angle = draw.uniform(2, 60) * 2 * np.pi / width, draw.uniform(0, np.pi)
    waves = np.sin(wave * (x * np.cos(angle) + y * np.sin(angle))) + np.sin(wave * (y * np.cos(angle) - x))
    return cv2.applyColorMap(stretched(waves), int(draw.integers(0, 12)))


def scene(draw: np.random.Generator) -> Image:
    height, width = size(draw)
    image = np.full((height, width, 3), draw.integers(0, 256, 3), np.uint8)
    for _ in range(draw.integers(5, 60)):
        (x, y), (v, w) = draw.integers(0, [width, height], (2, 2)).tolist()
        colour, wide = draw.integers(0, 256, 3).tolist(), int(draw.choice([-1, 1, 2, 5]))
        if draw.random() < 0.4:
            cv2.rectangle(image, (x, y), (v, w), colour, wide)
        elif draw.random() < 0.6:
            axes = draw.integers(3, max(width // 6, 4), 2).tolist()
            cv2.ellipse(image, (x, y), axes, float(draw.uniform(0, 180)), 0, 360, colour, wide)
        else:
            cv2.line(image, (x, y), (v, w), colour, abs(wide))
    return image


def houses(draw: np.random.Generator) -> Image:
    image = np.full((480, 640, 3), (150, 200, 240), np.uint8)
    image[300:] = (90, 150, 60)
    for _ in range(draw.integers(1, 5)):
        (x, y), (w, h) = draw.integers([0, 150], [500, 320]).tolist(), draw.integers(80, 200, 2).tolist()
        cv2.rectangle(image, (x, y), (x + w, y + h), draw.integers(60, 256, 3).tolist(), -1)
        cv2.fillPoly(image, [np.array([(x - 8, y), (x + w + 8, y), (x + w // 2, y - 60)], np.int32)], (120, 60, 40))
        for left in (x + w // 6, x + w * 2 // 3):
            cv2.rectangle(image, (left, y + h // 5), (left + w // 5, y + h // 2), (60, 60, 90), -1)
        cv2.rectangle(image, (x + w * 2 // 5, y + h * 3 // 5), (x + w * 3 // 5, y + h), (70, 40, 20), -1)
    return image


def letters(draw: np.random.Generator) -> Image:
    height, width = size(draw)
    image, scale = np.full((height, width, 3), draw.choice([255, 20]), np.uint8), draw.uniform(0.4, 4)
    signs = list("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789&%@8:;-)(oO.")
    for y in range(int(30 * scale), height + 20, int(34 * scale)):
        line, font = "".join(draw.choice(signs, 60)), int(draw.integers(0, 8))
        cv2.putText(image, line, (0, y), font, scale, draw.integers(0, 256, 3).tolist(), int(draw.integers(1, 4)))
    return image


def spectrogram(draw: np.random.Generator) -> Image:
    at = np.arange(32_000) / 16_000
    pitch = 120 * 2 ** np.interp(at, np.linspace(0, 2, 9), draw.normal(0, 0.3, 9))
    swell = np.interp(at, np.linspace(0, 2, 17), draw.uniform(0, 1, 17))
    sound = swell * sum(np.sin(2 * np.pi * n * np.cumsum(pitch) / 16_000) / n for n in range(1, 25))
    frames = np.lib.stride_tricks.sliding_window_view(sound + draw.normal(0, 0.01, 32_000), 512)[::128]
    power = np.log(np.abs(np.fft.rfft(frames * np.hanning(512))).T[::-1] + 1e-3)
    return cv2.applyColorMap(cv2.resize(stretched(power), (640, 480)), int(draw.integers(0, 20)))


def frame_times(photo: Image, detect: Detector) -> dict[str, float]:
    """Milliseconds of processor time for a frame of 640 x 480."""
    face = cv2.resize(photo, (640, 480))
    nobody = cv2.resize(picture("coffee"), (640, 480))
    times = {}
    looks = {"a face, whole": (face, WHOLE), "nobody, whole": (nobody, WHOLE), "nobody, closer": (nobody, CLOSER)}
    for name, (image, look) in looks.items():
        detect(image, look)
        begin = time.process_time()
        for _ in range(20):
            detect(image, look)
        times[name] = (time.process_time() - begin) / 20 * 1e3
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", default=os.environ.get("EMOBRAID_DATA"))
    parser.add_argument("--stills", type=int, default=3589)
    parser.add_argument("--pictures", type=int, default=500)
    args = parser.parse_args()
    if args.data is None:
        parser.error("name the folder with the corpora, or set EMOBRAID_DATA")
    cv2.setNumThreads(1)
    detect, draw = blazeface(), np.random.default_rng(0)
    astronaut = picture("astronaut")[:256, 96:352]
    print("ms for a frame of 640 x 480:", {k: round(v, 1) for k, v in frame_times(astronaut, detect).items()})
    kept = stills(Path(args.data), args.stills)
    for name, change in (("as they are", np.asarray), ("enlarged, with a border", enlarged)):
        found = Counter(how(change(still), detect) for still in kept)
        print(f"{name}: {1 - found[''] / len(kept):.3f} of {len(kept)} found; {dict(found)}", flush=True)
    some = kept[:100]
    for degrees in (15, 30, 45, 60):
        print(f"turned by {degrees}: {sum(bool(how(turned(s, degrees), detect)) for s in some)} of {len(some)}")
    scenes = [cv2.resize(p, (640, 480)) for p in photographs()[4:8]] + [np.full((480, 640, 3), 128, np.uint8)]
    for side in (32, 40, 64, 96):
        got = sum(bool(searched([small(s, side, draw, scenes)], detect)[0]) for s in some)
        print(f"{side / 640:.3f} of the longer side: {got} of {len(some)}", flush=True)
    false = Counter(how(image, detect) for image in without_faces(args.pictures))
    print(f"{args.pictures - false['']} faces in {args.pictures} pictures without one; {dict(false)}")


if __name__ == "__main__":
    main()

"""A made film of an hour with a face and sound, to see what `emobraid timeline` needs for it.

python benchmarks/long_recording.py make hour.mp4 --minutes 60
python benchmarks/long_recording.py read hour.mp4 --model_path checkpoints/best_model
"""

import argparse
import resource
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

RATE, PICTURES = 16_000, 5  # samples and pictures a second


def make(path: Path, minutes: float) -> None:
    """A portrait that moves about, at 160 x 160, over a voice-like tone that comes and goes."""
    import skimage.data
    from PIL import Image

    portrait = skimage.data.astronaut()  # type: ignore[no-untyped-call]
    whole = Image.fromarray(portrait[:256, 96:352]).resize((200, 200))
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as out:
        film = out.add_stream("libx264", rate=PICTURES, options={"preset": "ultrafast", "crf": "35"})
        film.width = film.height = 160
        film.pix_fmt, film.gop_size = "yuv420p", 5 * PICTURES
        voice = out.add_stream("aac", rate=RATE, layout="mono")
        for second in range(round(60 * minutes)):
            for i in range(PICTURES):
                x, y = rng.integers(0, 40, 2) if i == 0 else (20, 20)
                image = np.asarray(whole.crop((x, y, x + 160, y + 160)))
                out.mux(film.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")))
            at = second * RATE + np.arange(RATE)
            loud = 0.3 * (second % 20 < 15)
            samples = (loud * np.sin(2 * np.pi * (120 + second % 60) * at / RATE)).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(samples[None], "fltp", "mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, second * RATE, Fraction(1, RATE)
            out.mux(voice.encode(frame))
        for stream in (film, voice):
            out.mux(stream.encode(None))


def read(path: Path, model_path: Path) -> None:
    """The time it takes, and the most memory that this process and its decoder held."""
    from emobraid.cli import main as emobraid

    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        code = emobraid(["timeline", str(path), "--model_path", str(model_path), "--output_dir", folder])
    if code:
        sys.exit(code)
    own, child = (resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    cpu = sum(sum(resource.getrusage(w)[:2]) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(
        f"{time.perf_counter() - started:.0f} s, {cpu:.0f} s of CPU; at most {own:.0f} MB here, {child:.0f} MB decoding"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("make", "read"))
    parser.add_argument("file", type=Path)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--model_path", type=Path, default=Path("checkpoints/best_model"))
    args = parser.parse_args()
    if args.what == "make":
        make(args.file, args.minutes)
    else:
        read(args.file, args.model_path)


if __name__ == "__main__":
    main()

"""`encoders.py extract`: media files through decoders, stems and cache, beside a loop that reads file after file.

Both decode in the same bounded children. The loop decodes one file, runs the eager float32 model of `transformers` on
it, and goes on; it keeps nothing. Ours decodes ahead, puts like lengths together, and writes the cache.
"""

import resource
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers

from emobraid import encoders
from emobraid.config import ModelConfig
from emobraid.data.corpus import Sample
from emobraid.data.preparer import Preparer
from emobraid.data.sample import make_sample_corpus
from emobraid.data.shelf import Shelf
from emobraid.encoders.pretrained import Precision, resolve
from emobraid.encoders.reports import quiet
from emobraid.media import MediaReader

WORKERS = 2
SOUND = (".wav", ".flac", ".mp3", ".m4a", ".ogg")


def spent() -> float:
    """CPU seconds of this process and of its children that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def timed(work: Callable[[], Any]) -> dict[str, float]:
    wall, cpu = time.monotonic(), spent()
    work()
    return {"wall": time.monotonic() - wall, "cpu": spent() - cpu}


def samples(folder: Path, count: int) -> list[Sample]:
    """Evenly chosen files, each a sound or a clip."""
    files = sorted(p for p in folder.rglob("*") if p.suffix in (*SOUND, ".mp4", ".mkv", ".webm", ".mov"))
    chosen = [files[i * len(files) // count] for i in range(min(count, len(files)))]
    return [
        Sample(
            id=path.name,
            group="",
            cells={m: path if (path.suffix in SOUND) == (m == "audio") else None for m in ("audio", "video")},
            sound_from_video=False,
            label=None,
        )
        for path in chosen
    ]


def one_by_one(folders: Mapping[str, Path], files: Sequence[Sample], frames: int) -> Callable[[], None]:
    with quiet():
        models = {
            m: transformers.AutoModel.from_pretrained(
                folders[m], attn_implementation="eager", dtype=torch.float32
            ).eval()
            for m in ("audio", "video")
        }
        hear = transformers.AutoFeatureExtractor.from_pretrained(folders["audio"])
        see = transformers.AutoImageProcessor.from_pretrained(folders["video"], backend="pil")

    @torch.inference_mode()
    def work() -> None:
        with MediaReader(workers=1) as reader:
            for sample in files:
                if isinstance(path := sample.cells["audio"], Path):
                    wave, _ = reader.audio(path)
                    values = hear(wave, sampling_rate=16_000, return_tensors="pt").input_values
                    models["audio"](values, output_hidden_states=True)
                elif isinstance(path := sample.cells["video"], Path):
                    crops = reader.faces(path, max_frames=frames, size=224).crops
                    if len(crops):
                        models["video"](see(images=list(crops), return_tensors="pt").pixel_values)

    return work


def through_cache(
    folders: Mapping[str, Path], files: Sequence[Sample], frames: int, cache: Path, precision: Precision
) -> Callable[[], None]:
    config = ModelConfig(
        modalities=("audio", "video"), encoder_precision=precision,
        audio_encoder="pretrained", audio_model_name=str(folders["audio"]),
        video_encoder="pretrained", video_model_name=str(folders["video"]), video_max_frames=frames,
    )  # fmt: skip
    built: dict[str, Any] = {m: encoders.build(m, config) for m in config.modalities}
    for encoder in built.values():  # loading is timed on neither side
        encoder.tower.network()
        encoder.stem_identity()

    def work() -> None:
        with MediaReader(workers=WORKERS) as reader, Shelf(cache, built, max_frames=frames) as shelf:
            preparer = Preparer(built, reader, max_frames=frames, shelf=shelf, workers=WORKERS)
            preparer.inputs(files, skip_unreadable=True)

    return work


def run(folders: Mapping[str, Path], args: Namespace) -> dict[str, Any]:
    count, frames = (4, 2) if args.quick else (args.files, args.frames)
    with tempfile.TemporaryDirectory() as scratch:
        media = args.media or Path(scratch, "corpus")
        if not args.media:
            make_sample_corpus(media, clips=max(14, count))
        files = samples(media, count)
        plain = timed(one_by_one(folders, files, frames))
        ours_work = through_cache(folders, files, frames, Path(scratch, "cache"), args.precision)
        first, second = timed(ours_work), timed(ours_work)
    sound = sum(f.cells["audio"] is not None for f in files)
    taken = resolve(args.precision, torch.device("cpu"))
    what = f"{sound} sounds, {len(files) - sound} clips of at most {frames} faces"
    print(f"{len(files)} files ({what}), {WORKERS} decoders, {torch.get_num_threads()} threads, {taken}")
    rows = {"one by one": plain, "ours, first time": first, "ours, from the cache": second}
    for name, row in rows.items():
        ratio = f"{plain['wall'] / row['wall']:7.2f} {plain['cpu'] / row['cpu']:7.2f}"
        print(f"  {name:22s} wall {row['wall']:8.1f} s  CPU {row['cpu']:8.1f} s   times as fast {ratio}")
    return {"files": len(files), "sounds": sound, "frames": frames, "precision": taken, **rows}

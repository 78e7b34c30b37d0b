"""`emobraid predict` and `emobraid timeline`: a trained model on somebody's own files."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from emobraid.weights import shipped

OWN = Path("checkpoints/best_model")  # where training puts its model unless told otherwise


@dataclass(kw_only=True)
class Predict:
    """Read the emotion expressed in text, voice and face, any subset of them, or in every row of a CSV.

    A video's own sound track is its audio, unless --audio is given or --no_sound. A modality that cannot be read
    (silent, no face) is left out and the reason given. With --csv, rows are printed in order as they are read; failed
    ones are listed at the end and the exit code is 1.

    Example: emobraid predict --text "I'm so happy!" --audio a.wav --video a.mp4
    """

    model_path: Path | None = None
    """The folder that training wrote, or emobraid/compact, which ships; best_model.pth is the folder best_model.
    Default: checkpoints/best_model where there is one, else emobraid/compact."""
    text: str | None = None
    """What was said."""
    audio: Path | None = None
    """A sound file."""
    video: Path | None = None
    """A video file, or a picture."""
    motion: str | None = None
    """A recording of markers as IEMOCAP has them (text), or a cell such as file.npz#motion."""
    no_sound: bool = False
    """Leave a video's own sound track out."""
    csv: Path | None = None
    """A table with any of the columns text, audio_path, video_path, motion_path."""
    allow_outside: Path | None = None
    """A second folder that paths in the CSV may point into; others outside the CSV's folder are refused."""
    json: bool = False
    """Print JSON: one object, or one a line for a CSV."""


def chosen(model_path: Path | None) -> Path:
    """The model that was named; else the one that was trained here, else the one that ships, and which one is told."""
    if model_path is not None:
        return model_path
    from emobraid import checkpoint

    found = OWN if checkpoint.is_there(OWN) else next(map(Path, shipped()), OWN)
    print(f"model: {found}", file=sys.stderr)
    return found


def predict(args: Predict) -> int:
    from emobraid.predicting import predict_one, predict_table

    given = [args.text, args.audio, args.video, args.motion]
    if args.csv and any(g is not None for g in given):
        raise ValueError("--csv stands alone; leave --text, --audio, --video and --motion out")
    if args.csv:
        return predict_table(chosen(args.model_path), args.csv, allow_outside=args.allow_outside, as_json=args.json)
    if all(g is None for g in given):
        raise ValueError("nothing to read: give --text, --audio, --video, --motion (any subset), or --csv")
    inputs = {"text": args.text, "audio": args.audio, "video": args.video, "motion": args.motion}
    predict_one(chosen(args.model_path), inputs, sound=not args.no_sound, as_json=args.json)
    return 0


@dataclass(kw_only=True)
class Timeline:
    """Read a long recording in windows: what is expressed, when.

    Writes timeline.json, timeline.csv, timeline.srt (subtitles) and timeline.png: for each window the emotion, valence
    and arousal, the confidence, and which modality was missing and why. It is decoded piece by piece, so an hour needs
    no more memory than a minute. Ctrl-C leaves what was there before.

    Example: emobraid timeline long.mp4 --output_dir results
    """

    file: Annotated[Path, tyro.conf.Positional]
    """The recording: sound or film."""
    model_path: Path | None = None
    """The folder that training wrote, or emobraid/compact, which ships; best_model.pth is the folder best_model.
    Default: checkpoints/best_model where there is one, else emobraid/compact."""
    output_dir: Path = Path("results")
    """Where the files go."""
    window: float = 4.0
    """Seconds of a window (0.5 to 60)."""
    step: float = 2.0
    """Seconds from one window's start to the next, at most a window."""
    fps: float = 4.0
    """Pictures a second that are searched for the face."""
    no_pictures: bool = False
    """Leave the PNG out."""


def timeline(args: Timeline) -> int:
    from emobraid.app.timeline_command import make_timeline
    from emobraid.timeline import Plan

    plan = Plan(window=args.window, step=args.step, fps=args.fps)
    make_timeline(chosen(args.model_path), args.file, plan, args.output_dir, pictures=not args.no_pictures)
    return 0

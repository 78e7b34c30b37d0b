"""`emobraid timeline`: a long recording read in windows, written as JSON, CSV, subtitles and a picture."""

from importlib.util import find_spec
from pathlib import Path

from emobraid.evaluation.plots import MISSING
from emobraid.recognizer import Recognizer
from emobraid.timeline import Plan, Timeline, Window
from emobraid.timeline_files import summary, write_timeline
from emobraid.training.display import TerminalReporter


def make_timeline(model_path: Path, file: Path, plan: Plan, output_dir: Path, *, pictures: bool) -> None:
    """Read a recording and write its timeline; nothing is written when it is stopped before the end."""
    if pictures and find_spec("matplotlib") is None:  # better missed now than in an hour
        raise ImportError(f"{MISSING}, or give --no_pictures")
    with Recognizer.from_pretrained(model_path) as recognizer, TerminalReporter() as reporter:
        timeline = Timeline(recognizer, file, plan)
        progress = reporter.progress("reading")
        windows: list[Window] = []
        for window in timeline:
            windows.append(window)
            progress(len(windows), len(timeline))
    seconds = timeline.seconds
    written = write_timeline(output_dir, windows, name=file.name, seconds=seconds, plan=plan, pictures=pictures)
    told = ", ".join(f"{name or 'nothing to read'} {count}" for name, count in summary(windows).items())
    print(f"{len(windows)} windows in {seconds:.1f} s: {told}")
    print(f"written: {', '.join(map(str, written))}")

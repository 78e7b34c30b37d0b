"""The `emobraid` command. Errors are one line; --debug shows the traceback."""

import contextlib
import io
import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from pydantic import ValidationError
from rich.console import Console

from emobraid.app import require_demo
from emobraid.app.limits import ServerSettings
from emobraid.config import (
    SECTIONS,
    Config,
    DataConfig,
    DistillationConfig,
    FewShotConfig,
    ModelConfig,
    StudyConfig,
    TrainingConfig,
    explain,
    parse,
    to_toml,
)
from emobraid.emotions import nearest
from emobraid.recipes import layered, load_recipe

LONGEST = 1_000  # characters of a message; a compiler under us may say thousands of lines
USER_ERROR, FAILED = 2, 1  # exit codes: the user can mend it; the work itself failed

#: modes that are a recipe on top of the settings, and the study that is a loop over runs
REGIMES = ("contrastive", "distillation", "few_shot", "robust")
STUDIES = ("ablation", "all")
LATER_COMMANDS = ("export",)
MeldDefect = Literal["missing_clip", "corrupt_clip", "extra_clip", "gap", "times"]
MoseiDefect = Literal[
    "no_metadata",
    "out_of_order",
    "negative_start",
    "minus_infinity",
    "no_features",
    "out_of_range",
    "no_fold",
    "missing_film",
]
IemocapDefect = Literal["missing_wav", "cut_film", "missing_hand", "mac_files", "times", "missing_transcript"]
Mode = Literal["standard", "contrastive", "few_shot", "distillation", "robust", "ablation", "all"]


class NotYet(ValueError):
    """A part of the plan that this version does not hold."""


@dataclass(kw_only=True)
class Train:
    """Train a model on a folder of raw clips (or feature files) and calibrate it.

    The folder holds train.csv and val.csv with columns text, audio_path, video_path, emotion; an empty cell is a
    missing modality. The best model by validation macro-F1 is kept in OUTPUT_DIR/best_model; the test split is never
    opened here. Ctrl-C saves and stops; --resume goes on, bit for bit.

    Example: emobraid train --data_root data --fusion_type hierarchical
    """

    mode: Mode = "standard"
    """Training regime. contrastive, distillation and robust lay the recipe of that name over --config; ablation
    compares all fusions, all runs the whole suite."""
    config: Path | None = None
    """A recipe: a TOML file, or the name of one that ships (sample, features, meld). Flags override it."""
    output_dir: Path = Path("checkpoints")
    """Where metrics.jsonl, tensorboard/, resume/ and best_model/ go."""
    resume: bool = False
    """Go on with the run in output_dir."""
    overwrite: bool = False
    """Take away the run in output_dir first."""
    print_config: bool = False
    """Print the settings as TOML and stop."""
    model: Annotated[ModelConfig, tyro.conf.OmitArgPrefixes] = field(default_factory=ModelConfig)
    training: Annotated[TrainingConfig, tyro.conf.OmitArgPrefixes] = field(default_factory=TrainingConfig)
    data: Annotated[DataConfig, tyro.conf.OmitArgPrefixes] = field(default_factory=DataConfig)
    distillation: Annotated[DistillationConfig, tyro.conf.OmitArgPrefixes] = field(default_factory=DistillationConfig)
    few_shot: Annotated[FewShotConfig, tyro.conf.OmitArgPrefixes] = field(default_factory=FewShotConfig)
    study: Annotated[StudyConfig, tyro.conf.OmitArgPrefixes] = field(default_factory=StudyConfig)


@dataclass(kw_only=True)
class Evaluate:
    """Score a model on the test split: figures, tables, pictures.

    Opens the test table of DATA_ROOT and writes so into the run's ledger.jsonl. Nothing is fitted here: temperatures
    come from the model, which fitted them on validation. On another corpus than the model's own (--dataset meld), rows
    whose label it cannot express are left out, counted and told. Writes metrics.json, predictions.csv and PNGs.

    Example: emobraid evaluate --model_path checkpoints/best_model --data_root data --output_dir results
    """

    model_path: Path = Path("checkpoints/best_model")
    """The folder that training wrote; best_model.pth is taken for the folder best_model."""
    output_dir: Path = Path("results")
    """Where the report goes."""
    no_pictures: bool = False
    """Leave the PNGs out."""
    robustness: bool = False
    """Run the missing-modality benchmark instead: robustness.json, .csv, .md and .png; see docs/robustness.md."""
    beside: tuple[str, ...] = ()
    """NAME=PATH of further models for --robustness, read through the same gaps; they may have fewer modalities."""
    draws: int = 10
    """Draws of the random protocol of --robustness."""
    frame_draws: int = 3
    """Draws of its frame protocol, each of which runs the encoders nine times; 0 leaves it out."""
    noise: bool = False
    """Add the noise study to --robustness."""
    seed: int = 0
    """Which masks --robustness draws."""
    data: Annotated[DataConfig, tyro.conf.OmitArgPrefixes] = field(default_factory=DataConfig)


@dataclass(kw_only=True)
class Predict:
    """Read the emotion expressed in text, voice and face, any subset of them, or in every row of a CSV.

    A video's own sound track is its audio, unless --audio is given or --no_sound. A modality that cannot be read
    (silent, no face) is left out and the reason given. With --csv, rows are printed in order as they are read; failed
    ones are listed at the end and the exit code is 1.

    Example: emobraid predict --text "I'm so happy!" --audio a.wav --video a.mp4
    """

    model_path: Path = Path("checkpoints/best_model")
    """The folder that training wrote; best_model.pth is taken for the folder best_model."""
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
    model_path: Path = Path("checkpoints/best_model")
    """The folder that training wrote; best_model.pth is taken for the folder best_model."""
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


@dataclass(kw_only=True)
class Demo:
    """Open the page in which people try a model: camera, microphone, files and words, live, and a conversation.

    Listens on this computer alone unless told otherwise; --host 0.0.0.0 lets others in and needs a token. Nothing is
    stored, logged or sent anywhere. docs/demo.md tells all about it.

    Example: emobraid demo --model_path checkpoints/best_model.pth --port 7860
    """

    model_path: Path | None = None
    """The folder that training wrote; without it the model that ships, or the one that `make run` made."""
    port: int = 7860
    """Port to listen on."""
    host: str = "127.0.0.1"
    """Address to listen on. Any other than this computer's own needs a token."""
    token: str | None = None
    """Who opens the page must know it (http://HOST:PORT/?token=TOKEN). Better given as the variable EMOBRAID_TOKEN."""
    hosts: tuple[str, ...] = ()
    """Further names under which people reach the page."""
    llm_url: str | None = None
    """An OpenAI-compatible server that writes the replies, such as http://127.0.0.1:11434/v1. It reads nothing."""
    llm_model: str | None = None
    """Its model."""
    asr: str | None = None
    """A Whisper model that writes down speech: a folder, or a hub id that was fetched. Default: none."""


@dataclass(kw_only=True)
class Serve:
    """Answer over HTTP: /v1/predict, /v1/timeline, /v1/chat, /v1/stream, and the page beside them.

    Listens on this computer alone unless told otherwise; --host 0.0.0.0 lets others in and needs a token. Nothing that
    is sent is written to a disk or a log. docs/server.md tells all about it.

    Example: emobraid serve --model_path checkpoints/best_model --port 8000
    """

    model_path: Path | None = None
    """The folder that training wrote; without it the model that ships, or the one that `make run` made."""
    no_page: bool = False
    """Serve the API alone, without the page."""
    llm_url: str | None = None
    """An OpenAI-compatible server that writes the replies, such as http://127.0.0.1:11434/v1. It reads nothing."""
    llm_model: str | None = None
    """Its model."""
    server: Annotated[ServerSettings, tyro.conf.OmitArgPrefixes] = field(default_factory=ServerSettings)


@dataclass(kw_only=True)
class Extract:
    """Decode and encode everything ahead, so that training starts at once.

    Frozen encoders run once for every file; what they give is kept under a name made of the file's content, the
    weights and all settings, so that a change in any of them makes it anew. Stop it at any time: the next call goes on.
    train, evaluate and extract share one cache, and fill it themselves when it is empty.

    Example: emobraid extract --config pretrained --data_root data
    """

    config: Path | None = None
    """A recipe: a TOML file, or the name of one that ships. Flags override it."""
    splits: tuple[Literal["train", "val", "test"], ...] = ("train", "val")
    """Which tables; of the test split inputs only, never labels."""
    model: Annotated[ModelConfig, tyro.conf.OmitArgPrefixes] = field(default_factory=ModelConfig)
    data: Annotated[DataConfig, tyro.conf.OmitArgPrefixes] = field(default_factory=DataConfig)


@dataclass(kw_only=True)
class Doctor:
    """Look a corpus over: `emobraid doctor data` tells all that is odd about it and what to do, with line numbers.

    Exit code 1 when something is broken; --json prints every place. --media decodes all clips to find unreadable,
    silent and faceless ones, which takes as long as extracting them.

    `emobraid doctor cache` looks after what is kept instead: it makes random entries again and compares them (exit code
    1 when one differs); --clear deletes all of it, which was cut from people's recordings.

    Example: emobraid doctor data/MELD.Raw --dataset meld
    """

    what: Annotated[str, tyro.conf.Positional] = "cache"
    """A folder with a corpus, or `cache` (write ./cache for a folder of that name)."""
    json: bool = False
    """Print JSON, with every place of every finding."""
    media: bool = False
    """Decode every clip as well."""
    rows: int = 50
    """How many bad rows are listed with all that is wrong with each (csv layout)."""
    entries: int = 20
    """How many random entries of the cache are made again."""
    seed: int = 0
    """Which ones."""
    clear: bool = False
    """Delete everything in the cache."""
    config: Path | None = None
    """The recipe that the model is made with: its labels and modalities are what a corpus must have."""
    model: Annotated[ModelConfig, tyro.conf.OmitArgPrefixes] = field(default_factory=ModelConfig)
    data: Annotated[DataConfig, tyro.conf.OmitArgPrefixes] = field(default_factory=DataConfig)


@dataclass(kw_only=True)
class SampleCorpus:
    """Make a small synthetic corpus in the expected layout, to try the program with.

    Drawn faces, synthesised voices, sentences from templates: nobody was recorded, and nothing about people can be
    learnt from it.

    Example: emobraid sample-corpus sample
    """

    folder: Annotated[Path, tyro.conf.Positional]
    """Where to put it; must be new or empty."""
    layout: Literal["csv", "meld", "mosei", "iemocap"] = "csv"
    """csv: our own tables; meld: dialogues in the folders and tables of MELD; mosei: CMU-MOSEI's features and films;
    iemocap: IEMOCAP's dialogues with markers."""
    clips: int | None = None
    """Utterances in all three splits; default: 560, meld and mosei 48, iemocap 40."""
    defects: tuple[MeldDefect | MoseiDefect | IemocapDefect, ...] = ()
    """What to spoil in another layout than csv, to see what the doctor says; each layout names its own."""
    seed: int = 0
    """The same seed gives the same bytes."""
    workers: int = 2
    """Processes (csv)."""


@dataclass(kw_only=True)
class Split:
    """Cut one table into train.csv, val.csv and test.csv (five, one and one seventh) with no speaker in two of them.

    Labels are spread as evenly as whole speakers allow; the same seed gives the same tables.

    Example: emobraid split all.csv --output_dir data --seed 0
    """

    table: Annotated[Path, tyro.conf.Positional]
    """A CSV with columns emotion and speaker beside those of the modalities."""
    output_dir: Path = Path("data")
    """Where the three go; in another folder than the table's own, relative paths become absolute."""
    by: Literal["speaker", "dialogue", "row"] = "speaker"
    """What stays together. row: nothing does, and train and test may share people."""
    seed: int = 0
    """The same seed gives the same tables."""
    overwrite: bool = False
    """Write over tables that are there."""


def train(args: Train) -> int:
    if args.mode not in STUDIES and args.study != StudyConfig():
        raise ValueError(f"seeds, fusions and switch_off are for --mode {' and '.join(STUDIES)}; one run has --seed")
    if args.mode in STUDIES:
        return _study(args)
    if args.mode == "few_shot":
        return _few_shot(args)
    if args.mode != "all" and args.few_shot != FewShotConfig():
        raise ValueError("settings of few-shot learning need --mode few_shot")
    config = Config(model=args.model, training=args.training, data=args.data, distillation=args.distillation)
    if args.mode == "distillation" and args.distillation.teacher_model is None:
        raise ValueError("--mode distillation needs --teacher_model: a folder that `emobraid train` wrote")
    if args.distillation != DistillationConfig() and args.distillation.teacher_model is None:
        raise ValueError("settings of distillation need --teacher_model, without which nobody teaches")
    if args.print_config:
        print(to_toml(config), end="")
        return 0
    from emobraid.training.display import TerminalReporter
    from emobraid.training.run import train as run
    from emobraid.training.run_folder import BEST

    other = "" if args.data.dataset == "csv" else f" --dataset {args.data.dataset}"
    with TerminalReporter() as reporter:
        outcome = run(config, args.output_dir, resume=args.resume, overwrite=args.overwrite, reporter=reporter)
    if os.environ.get("RANK", "0") != "0":  # launched together with the process that speaks
        return 0
    best = args.output_dir / BEST
    print(
        f"{best}: validation macro-F1 {outcome.best_macro_f1:.3f} at epoch {outcome.best_epoch + 1}; "
        f"score it with: emobraid evaluate --model_path {best} --data_root {args.data.data_root}{other}"
    )
    return 0


def _study(args: Train) -> int:
    config = Config(model=args.model, training=args.training, data=args.data)
    if args.print_config:
        print(to_toml(config), end="")
        return 0
    if args.distillation != DistillationConfig():
        raise ValueError(f"--mode {args.mode} chooses the teacher itself; leave the settings of distillation out")
    from emobraid.study.command import ablate, suite
    from emobraid.training.display import TerminalReporter

    run = ablate if args.mode == "ablation" else suite
    with TerminalReporter() as reporter:
        print(run(config, args.study, args.few_shot, args.output_dir, args.overwrite, reporter))
    return 0


def _few_shot(args: Train) -> int:
    from emobraid.training.few_shot_run import without_labels

    if args.distillation != DistillationConfig():
        raise ValueError("settings of distillation need --mode distillation")
    config = Config(model=args.model, training=args.training, data=args.data, few_shot=args.few_shot)
    config = config if args.few_shot.base_model else without_labels(config)
    if args.print_config:
        print(to_toml(config), end="")
        return 0
    from emobraid.evaluation.sealed import score_episodes
    from emobraid.training.display import TerminalReporter
    from emobraid.training.few_shot_report import WRITTEN, print_few_shot, summarise, write_few_shot
    from emobraid.training.few_shot_run import prepare

    with TerminalReporter() as reporter:
        study = prepare(config, args.output_dir, resume=args.resume, overwrite=args.overwrite, reporter=reporter)
        found = summarise(score_episodes(study.base_path, study.config, study.score, reporter))
    left_out = write_few_shot(study.folder, found)
    print_few_shot(found, Console())
    print("; ".join([f"written: {study.folder}/{WRITTEN}{'' if left_out else ', few_shot.png'}", *left_out]))
    return 0


def evaluate(args: Evaluate) -> int:
    if args.robustness:
        return _robustness(args)
    for name in ("beside", "draws", "frame_draws", "noise", "seed"):
        if getattr(args, name) != getattr(Evaluate, name):
            raise ValueError(f"--{name} is a setting of the missing-modality benchmark; give --robustness too")
    from emobraid.evaluation.report import print_report
    from emobraid.evaluation.sealed import evaluate as run
    from emobraid.training.display import TerminalReporter

    with TerminalReporter() as reporter:
        metrics = run(args.model_path, args.data, args.output_dir, reporter, pictures=not args.no_pictures)
    print_report(metrics, Console())
    drawn = "" if args.no_pictures else " and pictures"
    print(f"written: {args.output_dir}/metrics.json, predictions.csv{drawn}")
    return 0


def _robustness(args: Evaluate) -> int:
    from emobraid.evaluation.missing import Plan
    from emobraid.evaluation.missing_report import WRITTEN, print_robustness
    from emobraid.evaluation.robustness import evaluate_robustness as run
    from emobraid.training.display import TerminalReporter

    plan = Plan(draws=args.draws, frame_draws=args.frame_draws, seed=args.seed, noise=args.noise)
    stem = args.model_path.with_suffix("") if args.model_path.suffix == ".pth" else args.model_path
    models = {stem.resolve().parent.name if stem.name == "best_model" else stem.name: args.model_path}
    for given in args.beside:
        name, _, path = given.partition("=")
        if not name or not path or name in models:
            raise ValueError(f"--beside {given!r}: give NAME=PATH, each name once; {', '.join(models)} is taken")
        models[name] = Path(path)
    with TerminalReporter() as reporter:
        found = run(models, args.data, args.output_dir, reporter, plan=plan, pictures=not args.no_pictures)
    print_robustness(found, Console())
    print(f"written: {args.output_dir}/{WRITTEN}{'' if args.no_pictures else ', robustness.png'}")
    return 0


def predict(args: Predict) -> int:
    from emobraid.predicting import predict_one, predict_table

    given = [args.text, args.audio, args.video, args.motion]
    if args.csv and any(g is not None for g in given):
        raise ValueError("--csv stands alone; leave --text, --audio, --video and --motion out")
    if args.csv:
        return predict_table(args.model_path, args.csv, allow_outside=args.allow_outside, as_json=args.json)
    if all(g is None for g in given):
        raise ValueError("nothing to read: give --text, --audio, --video, --motion (any subset), or --csv")
    inputs = {"text": args.text, "audio": args.audio, "video": args.video, "motion": args.motion}
    predict_one(args.model_path, inputs, sound=not args.no_sound, as_json=args.json)
    return 0


def timeline(args: Timeline) -> int:
    from emobraid.app.timeline_command import make_timeline
    from emobraid.timeline import Plan

    plan = Plan(window=args.window, step=args.step, fps=args.fps)
    make_timeline(args.model_path, args.file, plan, args.output_dir, pictures=not args.no_pictures)
    return 0


def demo(args: Demo) -> int:
    require_demo()
    from emobraid.app.launching import demo as run
    from emobraid.app.limits import ServerSettings

    settings = ServerSettings(host=args.host, port=args.port, token=args.token, hosts=args.hosts)
    return run(args.model_path, settings, llm_url=args.llm_url, llm_model=args.llm_model, asr=args.asr)


def serve(args: Serve) -> int:
    require_demo()
    from emobraid.app.serving import serve as run

    return run(args.model_path, args.server, llm_url=args.llm_url, llm_model=args.llm_model, page=not args.no_page)


def extract(args: Extract) -> int:
    from emobraid.data.extraction import extract as run
    from emobraid.training.display import TerminalReporter, show_sizes

    with TerminalReporter() as reporter:
        sizes = run(Config(model=args.model, data=args.data), args.splits, reporter)
    show_sizes(sizes, Console())
    return 0


def doctor(args: Doctor) -> int:
    if args.what != "cache":
        return _doctor_corpus(args)
    if args.json or args.media:
        raise ValueError("--json and --media are for a corpus: emobraid doctor FOLDER")
    from emobraid.data.extraction import check, clear
    from emobraid.training.display import TerminalReporter

    config = Config(model=args.model, data=args.data)
    if args.clear:
        print(f"{clear(config)} entries deleted")
        return 0
    with TerminalReporter() as reporter:
        checks = check(config, args.entries, args.seed, reporter)
    wrong = [c for c in checks if not c.agrees]
    for c in wrong:
        print(f"{c.split} {c.id} {c.modality}: kept and made again differ by {c.difference:.1e}", file=sys.stderr)
    worst = max((c.difference for c in checks), default=0.0)
    told = f"{len(checks)} entries made again, largest relative difference {worst:.1e}"
    print(f"{told}; {len(wrong)} differ, --clear deletes the cache" if wrong else told if checks else "nothing is kept")
    return 1 if wrong else 0


def _doctor_corpus(args: Doctor) -> int:
    if args.clear:
        raise ValueError("--clear is for the cache: emobraid doctor cache --clear; a corpus is never deleted")
    from emobraid.data.audit import audit
    from emobraid.data.audit.bad_rows import bad_rows, show_bad_rows
    from emobraid.data.audit.page import show
    from emobraid.training.display import TerminalReporter

    with TerminalReporter() as reporter:
        progress = reporter.progress("decoding") if args.media else None
        found = audit(replace(args.data, data_root=Path(args.what)), args.model, media=args.media, progress=progress)
    if args.json:
        print(json.dumps(found.to_json(), ensure_ascii=False, indent=1))
    else:
        show(found, Console())
        if found.dataset == "csv":
            show_bad_rows(bad_rows(found), Console(), limit=args.rows)
    return 1 if found.broken else 0


def sample_corpus(args: SampleCorpus) -> int:
    from emobraid.data.sample import make_sample_corpus, make_sample_iemocap, make_sample_meld, make_sample_mosei
    from emobraid.training.display import TerminalReporter

    if args.defects and args.layout == "csv":
        raise ValueError("--defects needs --layout meld, mosei or iemocap")
    published = {"meld": make_sample_meld, "mosei": make_sample_mosei, "iemocap": make_sample_iemocap}
    with TerminalReporter() as reporter:
        progress = reporter.progress("drawing")
        if make := published.get(args.layout):
            clips = {"iemocap": 40}.get(args.layout, 48) if args.clips is None else args.clips
            make(args.folder, seed=args.seed, clips=clips, defects=args.defects, progress=progress)
        else:
            clips = 560 if args.clips is None else args.clips
            make_sample_corpus(args.folder, seed=args.seed, clips=clips, workers=args.workers, progress=progress)
    other = f" --dataset {args.layout}" if args.layout != "csv" else ""
    recipe = args.layout if args.layout in ("mosei", "iemocap") else "sample"
    command = f"emobraid train --config {recipe} --data_root {args.folder}{other}"
    print(f"{args.folder}: a synthetic corpus; train on it with: {command}")
    return 0


def split(args: Split) -> int:
    from emobraid.data.splitting import split_table

    parts = split_table(args.table, args.output_dir, by=args.by, seed=args.seed, overwrite=args.overwrite)
    for part in parts:
        print(part.told(args.by))
    if args.by == "row":
        print("note: rows were split at random, so train and test may share people; say so beside results")
    return 0


COMMANDS: dict[str, tuple[type, Callable[[Any], int]]] = {
    "train": (Train, train),
    "evaluate": (Evaluate, evaluate),
    "predict": (Predict, predict),
    "timeline": (Timeline, timeline),
    "extract": (Extract, extract),
    "demo": (Demo, demo),
    "serve": (Serve, serve),
    "doctor": (Doctor, doctor),
    "sample-corpus": (SampleCorpus, sample_corpus),
    "split": (Split, split),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    args = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in args
    args = [a for a in args if a != "--debug"]
    try:
        return _dispatch(args)
    except KeyboardInterrupt:
        print("emobraid: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output went away
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        if debug:
            raise
        return _tell(error)


def _tell(error: Exception) -> int:
    """One line about what went wrong, and the exit code for it."""
    code = getattr(error, "exit_code", USER_ERROR if isinstance(error, ValueError) else FAILED)
    if isinstance(error, ValidationError):
        message = "; ".join(explain(problem) for problem in error.errors())
    else:
        message = " ".join(str(error).split()) or type(error).__name__
        message = message if len(message) <= LONGEST else f"{message[:LONGEST]} ..."
    known = isinstance(error, ValueError | OSError | ArithmeticError | ImportError) or hasattr(error, "exit_code")
    hint = "" if known else f" ({type(error).__name__}; --debug shows where)"
    print(f"emobraid: {message}{hint}", file=sys.stderr)
    return int(code)


def _dispatch(args: list[str]) -> int:
    if not args or args[0] in ("-h", "--help"):
        print(_overview())
        return 0 if args else USER_ERROR
    if args[0] == "--version":
        from emobraid import __version__

        print(__version__)
        return 0
    name = args[0].replace("_", "-")
    if name in LATER_COMMANDS:
        raise NotYet(f"`emobraid {name}` is not in this version; it has {', '.join(COMMANDS)}")
    if name not in COMMANDS:
        raise ValueError(f"unknown command {args[0]!r}{nearest(name, list(COMMANDS))} known: {', '.join(COMMANDS)}")
    spec, run = COMMANDS[name]
    return run(_parse(spec, args[1:], f"emobraid {name}"))


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}s}  {(spec.__doc__ or '').splitlines()[0]}" for name, (spec, _) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: emobraid COMMAND [OPTIONS]        emobraid COMMAND --help tells all about one",
            "",
            "Reads the emotion a person expresses from any subset of text, voice and face.",
            "",
            *lines,
            "",
            "  --debug shows the traceback of an error; --version the version",
            "",
            "It guesses what is expressed, not what is felt. Do not use it to judge people; inferring emotions from",
            "face or voice at work or in education is prohibited in the EU (AI Act, Art. 5(1)(f)). See the README,",
            "Responsible use.",
        ]
    )


def _parse(spec: type, args: list[str], prog: str) -> Any:
    """Flags over the recipe over the defaults; ValueError in one line for anything tyro would refuse."""
    default = spec() if spec not in (SampleCorpus, Split, Timeline) else tyro.MISSING_NONPROP
    if "config" in spec.__dataclass_fields__ and (named := _recipes(args)):  # type: ignore[attr-defined]
        config = parse(layered(load_recipe(name) for name in named), " over ".join(reversed(named)))
        sections = {n: getattr(config, n) for n in SECTIONS if n in spec.__dataclass_fields__}  # type: ignore[attr-defined]
        default = spec(**sections)
    told = io.StringIO()
    try:
        with contextlib.redirect_stderr(told):
            parsed, unknown = tyro.cli(
                spec,
                prog=prog,
                args=args,
                default=default,
                return_unknown_args=True,
                config=(tyro.conf.FlagCreatePairsOff,),
            )
    except SystemExit as stop:
        if not stop.code:
            raise
        raise ValueError(_first_panel(told.getvalue()) or "the command line was not understood") from None
    # flags of a later version's mode: that the mode is missing says more
    if unknown and getattr(parsed, "mode", "standard") == "standard":
        flags = [f"--{name}" for name in _flag_names(spec)]
        typed = unknown[0].partition("=")[0]
        raise ValueError(f"unknown option {typed!r}{nearest('--' + typed.lstrip('-').replace('-', '_'), flags)}")
    return parsed


def _recipes(args: list[str]) -> list[str]:
    """The recipes that these flags name, in the order in which they are laid over each other: --config, then --mode."""
    recipe, mode = _given(args, "config"), _given(args, "mode")
    return [*([recipe] if recipe else []), *([mode] if mode in REGIMES else [])]


def _given(args: list[str], name: str) -> str | None:
    for i, arg in enumerate(args):
        if arg == f"--{name}" and i + 1 < len(args):
            return args[i + 1]
        if arg.startswith(f"--{name}="):
            return arg.partition("=")[2]
    return None


def _flag_names(spec: type) -> list[str]:
    names: list[str] = []
    for name, about in spec.__dataclass_fields__.items():  # type: ignore[attr-defined]
        if name in (*SECTIONS, "server", "study"):
            names += _flag_names(about.default_factory)
        else:
            names.append(f"no_{name}" if about.default is True else name)
    return names


def _first_panel(text: str) -> str:
    """What a boxed error says before its first rule, as one line."""
    said = []
    for line in text.splitlines()[1:]:  # the first is a title
        inner = line.strip("│╭╮╰╯ ")
        if not set(inner) <= set("─-"):
            said.append(inner)
        elif said:  # without a box, on a terminal that knows ASCII only, a rule comes below the title as well
            break
    message = " ".join(said)
    # a setting that failed its check comes wrapped in the checker's own words
    wrapped = re.search(r"validation errors? for \w+ (?:Value error, )?(.+?) \[type=", message)
    return wrapped[1] if wrapped else message


if __name__ == "__main__":
    sys.exit(main())

"""A made-up corpus in the exact layout of IEMOCAP: five pairs who improvise and play, with markers on one; and defects.

The people and their lines do not exist, and the movements of the markers are drawn by lot.
"""

import json
import wave
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from emobraid.data.iemocap_folds import FOLDER, Dialogue
from emobraid.data.mocap import PARTS
from emobraid.data.origin import ABOUT, EXPECTED_FILE
from emobraid.data.sample.folder import check, whole
from emobraid.data.sample.iemocap_script import DIALOGUES, GAP, Turn, annotations, script, timed, transcript
from emobraid.data.sample.plan import Showing
from emobraid.data.sample.portrait import HEIGHT, WIDTH
from emobraid.data.sample.recording import FRAME_RATE, Samples, film_of, voice_of
from emobraid.data.sample.voice import RATE
from emobraid.emotions import Emotion

DEFECTS = ("missing_wav", "cut_film", "missing_hand", "mac_files", "times", "missing_transcript")
FEWEST = 2 * DIALOGUES
MOCAP_RATE = 120  # frames a second
LOST = 0.03  # of the markers' places

Film = NDArray[np.uint8]  # (T, HEIGHT, WIDTH, 3) blue, green, red


def make_sample_iemocap(
    folder: Path,
    *,
    seed: int = 0,
    clips: int = 40,
    defects: Collection[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Writes a synthetic IEMOCAP_full_release into `folder`, which must be new or empty.

    `clips` turns, the same number in each of ten dialogues, two a session. Session 5 has its motion by dialogue, the
    others by turn. `expected.json` says what there should be, for the audit. `defects` spoils some of it: `missing_wav`
    (Ses01F_impro01_F000), `cut_film` (Ses02F_impro01), `missing_hand` (Ses03F_impro01_F000's markers), `mac_files`
    (Ses01's ._ files), `times` (Ses04F_impro01_M000 ends before it starts), `missing_transcript` (Ses05F_impro01).
    ValueError for settings out of range and a folder that holds anything.
    """
    check(folder, seed, clips, defects, known=DEFECTS, fewest=FEWEST, of=DIALOGUES)
    with whole(folder) as aside:
        _fill(aside, seed, clips, defects, progress)


def _fill(
    root: Path, seed: int, clips: int, defects: Collection[str], progress: Callable[[int, int], None] | None
) -> None:
    release, done, told = root / FOLDER, 0, dict[str, Counter[str]]()
    for name, group in groupby(script(seed, clips), key=lambda t: t.dialogue):
        turns = list(group)
        place = Dialogue(release / f"Session{turns[0].session}", name)
        for folder in (place.evaluation, place.transcription, place.film, _dialogue_wav(place), place.voice("x")):
            folder.parent.mkdir(parents=True, exist_ok=True)
        turns = _record(place, turns, seed)
        if "times" in defects and name == "Ses04F_impro01":
            turns = [t if t.speaker == "F" or t.number else replace(t, end=t.start - 1) for t in turns]
        place.evaluation.write_text(annotations(turns), encoding="utf-8")
        place.transcription.write_text(transcript(turns), encoding="utf-8")
        told.setdefault(place.root.name, Counter()).update(t.emotion for t in turns)
        done += len(turns)
        if progress:
            progress(done, clips)
    about = ABOUT.format("IEMOCAP")
    (release / EXPECTED_FILE).write_text(
        json.dumps({"about": about, "labels": told}, indent=1) + "\n", encoding="utf-8"
    )
    (release / "README.md").write_text(README.format(seed=seed, clips=clips), encoding="utf-8")
    _spoil(release, defects)


def _record(place: Dialogue, turns: Sequence[Turn], seed: int) -> list[Turn]:
    """Sound, film and motion of a dialogue; its turns with their times."""
    voices = [voice_of(turn.clip, seed) for turn in turns]
    placed = timed(turns, [len(samples) / RATE for samples, _ in voices])
    seconds = placed[-1].end + GAP
    sound: Samples = np.zeros((2, round(seconds * RATE)), np.int16)  # she on the left channel, he on the right
    # people who are not speaking sit still, as at the beginning of their first turn
    still = _stills(turns, seed)
    film = np.concatenate([still["left"], still["right"]], axis=1)[None].repeat(round(seconds * FRAME_RATE), axis=0)
    for turn, (samples, loudness) in zip(placed, voices, strict=True):
        first = round(turn.start * RATE)
        sound["FM".index(turn.speaker), first : first + len(samples)] = samples
        _write_wav(place.voice(turn.name), samples[None])
        face = film_of(turn.clip, seed, loudness)
        at, side = round(turn.start * FRAME_RATE), 0 if turn.marked else WIDTH
        face = face[: len(film) - at]
        film[at : at + len(face), :, side : side + WIDTH] = face
    _write_wav(_dialogue_wav(place), sound)
    _write_avi(place.film, film, sound.sum(axis=0).astype(np.int16))
    _write_motion(place, placed, seed)
    return placed


def _stills(turns: Sequence[Turn], seed: int) -> dict[str, NDArray[np.uint8]]:
    """One picture of each of the two, without expression."""
    calm = Showing(Emotion.NEUTRAL, 0.0)
    first = {turn.marked: turn for turn in reversed(turns)}
    quiet = np.array([1e-3, 1e-3, 1.0, 1e-3] * 5)
    pictures = {m: film_of(replace(t.clip, face=calm), seed, quiet)[0] for m, t in first.items()}
    return {"left": pictures[True], "right": pictures[False]}


def _write_avi(path: Path, frames: Film, samples: Samples) -> None:
    """MPEG-4 part 2, as DivX writes it, with a key frame every ten seconds; PCM sound."""
    with av.open(str(path), "w", format="avi") as container:
        video = container.add_stream("mpeg4", rate=FRAME_RATE, options={"threads": "1", "qscale": "4"})
        video.width, video.height, video.pix_fmt, video.gop_size = 2 * WIDTH, HEIGHT, "yuv420p", 10 * FRAME_RATE
        video.bit_rate = 1_200_000
        audio = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
        for i, frame in enumerate(frames):
            container.mux(video.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="bgr24")))
            # by turns, so that a file that was cut has both up to there
            first, last = (round(n * RATE / FRAME_RATE) for n in (i, i + 1))
            if len(heard := samples[None, first:last]):
                sound = av.AudioFrame.from_ndarray(np.ascontiguousarray(heard), format="s16", layout="mono")
                sound.sample_rate, sound.pts = RATE, first
                container.mux(audio.encode(sound))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))


def _write_motion(place: Dialogue, turns: Sequence[Turn], seed: int) -> None:
    """By turn of who wears the markers; in session 5 the dialogue as a whole."""
    for i, (part, width) in enumerate(PARTS.items()):
        rng = np.random.default_rng([seed, 7, turns[0].session, i])
        rest = rng.uniform(-80, 80, width)
        blocks = {t.name: (t.start, _moved(rest, t, width, i, seed)) for t in turns if t.marked}
        if turns[0].session == 5:
            rows = "".join(_rows(start, block) for start, block in blocks.values())
            _write_text(place.motion()[i], _header(width) + rows)
            continue
        for name, (start, block) in blocks.items():
            path = place.root / "sentences" / part / place.name / f"{name}.txt"
            _write_text(path, _header(width) + _rows(start, block))


def _moved(rest: NDArray[np.float64], turn: Turn, width: int, part: int, seed: int) -> NDArray[np.float64]:
    """(F, W): every emotion has its own directions, the same for everybody; now and then a marker is not seen."""
    count = round((turn.end - turn.start) * MOCAP_RATE)
    way = np.random.default_rng([seed, 8, part, list(Emotion).index(turn.clip.emotion)]).normal(size=width)
    rng = np.random.default_rng([seed, 9, turn.clip.number, part])
    course = np.sin(np.linspace(0, np.pi, count))[:, None] * turn.clip.face.intensity
    sway = np.sin(np.linspace(0, 9, count)[:, None] + rng.uniform(0, 6, width))
    moved = rest + 3 * course * way + sway + rng.normal(scale=0.1, size=(count, width))
    moved[:, rng.random(width) < LOST] = np.nan
    return np.asarray(moved)


def _header(width: int) -> str:
    names = " ".join(f"M{i // 3}" for i in range(width))
    return f"Frame# Time {names}\n             {' '.join('xyz'[i % 3] for i in range(width))}\n"


def _rows(start: float, block: NDArray[np.float64]) -> str:
    values = (" ".join(f"{v:.2f}" for v in row).replace("nan", "NaN") for row in block.tolist())
    return "".join(f"{i} {start + i / MOCAP_RATE:.5f} {text}\n" for i, text in enumerate(values))


def _write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="ascii")


def _write_wav(path: Path, channels: Samples) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(channels.T.astype("<i2").tobytes())


def _dialogue_wav(place: Dialogue) -> Path:
    return place.root / "dialog" / "wav" / f"{place.name}.wav"


def _spoil(release: Path, defects: Collection[str]) -> None:
    places = {n: Dialogue(release / f"Session{n}", f"Ses{n:02d}F_impro01") for n in (1, 2, 3, 5)}
    if "missing_wav" in defects:
        places[1].voice("Ses01F_impro01_F000").unlink()
    if "cut_film" in defects:
        content = places[2].film.read_bytes()
        places[2].film.write_bytes(content[: len(content) // 3])
    if "missing_hand" in defects:
        places[3].own_motion("Ses03F_impro01_F000")[2].unlink()
    if "mac_files" in defects:
        path = places[1].evaluation
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X")
    if "missing_transcript" in defects:
        places[5].transcription.unlink()


README = """\
# A synthetic corpus in the layout of IEMOCAP

**This is not IEMOCAP, and nobody was recorded.** Voices are synthesised, faces drawn, markers moved by lot, lines put
together from templates; the people do not exist. It is there to try and to test the reading of IEMOCAP's files.
`expected.json` is ours: what the audit should find.

Made by `emobraid sample-corpus DIR --layout iemocap --seed {seed} --clips {clips}`.
"""

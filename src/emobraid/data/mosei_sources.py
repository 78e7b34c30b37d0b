"""What each modality of CMU-MOSEI is read from: published features, or words and media, video by video."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from emobraid.config import DataConfig, ModelConfig
from emobraid.data.csd import Csd, CsdCell, Span, Track, open_csd
from emobraid.data.mosei_files import (
    FEATURES,
    PAUSE,
    SOUNDS,
    TRANSCRIPTS,
    VIDEOS,
    WORDS,
    Files,
    Line,
    Segment,
    read_transcript,
    said_in,
    words_in,
)


@dataclass(frozen=True)
class Sources:
    """What each modality is read from."""

    files: Files
    config: ModelConfig
    data: DataConfig

    def of(self, modality: str) -> Csd | Path | None:
        """The feature file, or the file of words, or the folder; None when it is not there."""
        if getattr(self.config, f"{modality}_encoder") == "features":
            return self.csds.get(self.published(modality))
        if modality == "text":
            return self.folders[TRANSCRIPTS] or self.words
        return (self.folders[SOUNDS] if modality == "audio" else None) or self.folders[VIDEOS]

    def lacks(self, modality: str) -> str:
        """In words, what a modality would be read from."""
        if getattr(self.config, f"{modality}_encoder") == "features":
            return f"no {FEATURES[self.published(modality)]}"
        return {"text": f"no {WORDS} or {TRANSCRIPTS}", "audio": f"no {SOUNDS} or {VIDEOS}"}.get(
            modality, f"no {VIDEOS}"
        )

    def published(self, modality: str) -> str:
        """Which of FEATURES a modality reads."""
        return {"text": "glove", "audio": "covarep", "video": self.data.video_features}[modality]

    @cached_property
    def csds(self) -> Mapping[str, Csd]:
        """The feature files that are there and asked for."""
        asked = [m for m in self.config.modalities if getattr(self.config, f"{m}_encoder") == "features"]
        paths = {name: self.files.csd(FEATURES[name]) for name in map(self.published, asked)}
        return {name: open_csd(path) for name, path in paths.items() if path}

    @cached_property
    def folders(self) -> Mapping[str, Path | None]:
        """The folders of the raw release."""
        return {inside: self.files.folder(inside) for inside in (TRANSCRIPTS, SOUNDS, VIDEOS)}

    @cached_property
    def words(self) -> Csd | None:
        path = self.files.csd(WORDS)
        return open_csd(path) if path else None

    def video(self, video: str) -> "Video":
        return Video(self, video)


@dataclass(frozen=True)
class Video:
    """What there is of one video."""

    sources: Sources
    video: str

    @cached_property
    def words(self) -> Track | None:
        words = self.sources.words
        if words is None or self.video not in words.videos:
            return None
        track = words.track(self.video)
        if track.values.ndim != 1:
            raise ValueError(f"{words.path}: video {self.video!r} has numbers, need words")
        return track

    @cached_property
    def lines(self) -> list[Line]:
        """Of the transcript; none when there is no such file."""
        folder = self.sources.folders[TRANSCRIPTS]
        path = folder / f"{self.video}.txt" if folder else None
        return read_transcript(path) if path and path.is_file() else []

    def text(self, segment: Segment) -> str:
        """What is said, from the transcript if it has this segment, else the words one by one."""
        if (said := said_in(segment, self.lines)) is not None:
            return said
        words = words_in(self.words, segment.span) if self.words else []
        return " ".join(word for word, _ in words if word != PAUSE)

    def features(self, modality: str, segment: Segment) -> CsdCell | None:
        """Voice and face in each word and each pause; the vectors of the words in each word."""
        csd = self.sources.of(modality)
        if not isinstance(csd, Csd) or self.video not in csd.videos:
            return None
        return CsdCell(csd.path, csd.name, self.video, segment.span, self._positions(modality, segment))

    def _positions(self, modality: str, segment: Segment) -> tuple[Span, ...] | None:
        if modality != "text" and self.sources.data.alignment == "none":
            return None
        words = words_in(self.words, segment.span) if self.words else []
        if modality == "text":
            return tuple(span for word, span in words if word != PAUSE) if words else None
        return tuple(span for _, span in words) or (segment.span,)  # nothing to align to: all of it is one position

    def media(self, modality: str) -> Path | None:
        """The sound file, or the film, whose own sound serves as well."""
        folders, wav = self.sources.folders, None
        if modality == "audio" and (folder := folders[SOUNDS]):
            wav = folder / f"{self.video}.wav"
        film = folder / f"{self.video}.mp4" if (folder := folders[VIDEOS]) else None
        return next((path for path in (wav, film) if path and path.is_file()), None)

    def absent(self, modality: str) -> str:
        """Why a modality's cell is empty, if it is."""
        if self.sources.of(modality) is None:
            return self.sources.lacks(modality)
        if getattr(self.sources.config, f"{modality}_encoder") == "features":
            return "the video is not in the file"
        return "no words" if modality == "text" else "no such file"

"""What the API takes and gives, as its OpenAPI document says it."""

import base64
import binascii
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictStr
from pydantic.config import JsonDict

URL_SAFE = str.maketrans("-_", "+/")  # the other alphabet that base64 is written in


def decoded(value: Any) -> Any:
    """A file: base64 in JSON, its bytes from a form. Line breaks, a data: prefix and both alphabets are taken."""
    if not isinstance(value, str):
        return value
    if value[:5].lower() == "data:":
        head, _, value = value.partition(",")
        if not head.lower().rstrip().endswith(";base64"):
            raise ValueError("a data: address whose data are not base64; send data:TYPE;base64,DATA")
    elif "://" in value[:12]:
        raise ValueError("an address; no address is opened here, send the file itself as base64")
    plain = "".join(value.split()).translate(URL_SAFE).rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("not base64") from None


File = Annotated[bytes, BeforeValidator(decoded)]
BASE64: JsonDict = {"type": "string", "format": "byte"}


class PredictRequest(BaseModel):
    """One utterance: any non-empty subset of text, audio and video. No field takes an address: files are sent."""

    model_config = ConfigDict(
        extra="forbid",
        allow_inf_nan=False,
        json_schema_extra={"examples": [{"text": "I'm so happy to see you!"}]},
    )

    text: StrictStr | None = Field(default=None, description="What was said.")
    audio: File | None = Field(default=None, description="A sound file (base64).", json_schema_extra=BASE64)
    video: File | None = Field(default=None, description="A video or a picture (base64).", json_schema_extra=BASE64)
    sound: bool = Field(default=True, description="A video's own sound track is its audio when no other is given.")


class TimelineRequest(PredictRequest):
    """A longer recording, read in windows. Text has no place in time and is not taken."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"video": "AAAAIGZ0eXA...", "window": 4, "step": 2}]})

    text: None = Field(default=None, description="Not taken here.")
    window: float = Field(default=4.0, ge=0.5, le=60, description="Seconds of a window.")
    step: float = Field(default=2.0, ge=0.5, le=60, description="Seconds from one window's start to the next.")


class ChatRequest(PredictRequest):
    """One turn of a conversation: what is said, with the voice and the face it is said with when they are sent."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"text": "I had such a bad day at work.", "stream": False}]}
    )

    text: StrictStr = Field(description="What was said.")
    locale: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z]{2,3}([-_][A-Za-z]{4})?([-_][A-Za-z]{2})?$",
        description='Language and country of the person, like "en-GB" or "de": whose help lines are told in a crisis. '
        "By default the first of Accept-Language.",
    )
    stream: bool = Field(
        default=False, description="Answer as text/event-stream: `reading`, then `words` as they come, then `turn`."
    )


class ReadingBody(BaseModel):
    """What one modality alone expresses, in the model's reading."""

    emotion: str
    confidence: float
    probabilities: dict[str, float]


READING: JsonDict = {
    "emotion": "happy",
    "confidence": 0.81,
    "probabilities": {"happy": 0.81, "sad": 0.02, "angry": 0.02, "fear": 0.02, "surprise": 0.08, "neutral": 0.05},
}


class PredictionBody(ReadingBody):
    """What an utterance expresses, in the model's reading; never a claim about what a person feels."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    **READING,
                    "contributions": {"text": 0.4, "video": 0.2},
                    "per_modality": {"text": READING, "video": READING},
                    "affect": {"valence": 0.62, "arousal": 0.44},
                    "notes": {"audio": "silent"},
                    "request_id": "8f3c2b1a90d4e7f6",
                }
            ]
        },
    )

    contributions: dict[str, float] = Field(description="Shapley values: how much each modality moved the reading.")
    per_modality: dict[str, ReadingBody] = Field(description="Each modality's own reading.")
    affect: dict[str, float] = Field(description="Place on the valence-arousal plane, each -1 to 1.")
    notes: dict[str, str] = Field(description="By modality, why it is missing or what is odd about it.")
    request_id: str


class WindowBody(BaseModel):
    """One window of a timeline."""

    model_config = ConfigDict(extra="allow")

    start: float = Field(description="Seconds from the start.")
    end: float
    reading: dict[str, Any] | None = Field(description="As /v1/predict says it; null when nothing could be read.")
    missing: dict[str, str] = Field(description="By modality, why it is missing or what is odd about it.")


class TimelineBody(BaseModel):
    """A reading for every window."""

    seconds: float
    window: float
    step: float
    windows: list[WindowBody]
    request_id: str


class ReplyBody(BaseModel):
    """An answer to what was said."""

    text: str
    strategy: str = Field(description="What the reply tries to do, such as comfort or share_positivity.")
    suggestions: list[str] = Field(description="Activities that may help, if any.")
    source: str = Field(description="Who wrote it: the built-in responder, a language model, or the fixed safety text.")


class TurnBody(BaseModel):
    """One turn of a conversation."""

    reply: ReplyBody
    prediction: dict[str, Any] | None = Field(description="As /v1/predict says it; null when nothing could be read.")
    request_id: str


class ErrorBody(BaseModel):
    """Why there is no answer, in one sentence."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"error": "audio: looks like plain text, not sound", "request_id": "8f3c2b1a90d4e7f6"}]
        }
    )

    error: str
    request_id: str

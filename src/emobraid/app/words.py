"""What the page says in fixed words: the notice, what is kept, what is missing and why."""

NOTICE = (
    "An emotion recognition system is at work on this page. While the camera or the microphone is on, or when you give "
    "it a file or words, a model guesses which emotion they <em>express</em>. It does not know what anybody feels, and "
    "it is often wrong."
)
LAW = (
    "This is the notice of Art. 50(3) of the EU AI Act (Regulation (EU) 2024/1689). At work and in education, "
    "inferring emotions from face or voice is prohibited (Art. 5(1)(f)). Show it only people who agreed, never "
    "children, and do not judge anybody by it: not for hiring, exams, policing, diagnosis or border control."
)
KEPT = (
    "The last few seconds of picture and sound, and this conversation: in the memory of the computer that runs this "
    "page, for this tab alone, until you press <em>Forget me</em>, close the tab, or half an hour goes by."
)
UPLOADED = (
    "A file you upload lies in a private temporary folder (in memory, where the system has such a folder) from its "
    "arrival until it has been read, and is then deleted."
)
NOT_KEPT = (
    "Nothing is written to a disk, logged, or sent to anybody. There is no account, no statistics, and nothing on this "
    "page is loaded from elsewhere."
)
SENT = "Replies are written by a language model at {place}: what you write and the guess about it are sent there."
SYNTHETIC = (
    "<strong>This model learned from synthetic people</strong>: drawn faces, computed voices, sentences from "
    "templates. It shows how the page works. What it says of a real person means nothing."
)
TERMS = "Terms of this model: {terms}"
HEARD = "Words: what you type, and what {name} hears you say."
NOT_HEARD = "Speech to text is off: the voice is read by its sound alone, words only as you type them."

NAMES = {"text": "Words", "audio": "Voice", "video": "Face", "motion": "Motion"}
REASONS = {
    ("text", "not given"): "nothing typed yet",
    ("audio", "not given"): "microphone is off",
    ("video", "not given"): "camera is off",
}
NO_SUCH_INPUT = "this model does not read it"


def reason(modality: str, note: str) -> str:
    """Why a modality is missing, in words for this page."""
    return REASONS.get((modality, note), note or "missing")

"""What the speakers of the sample corpus say: short sentences from templates.

All emotions share their people and topics, so only the wording of the feeling tells; a weak sentence fits several
emotions and leaves the decision to voice and face.
"""

import re
from collections.abc import Mapping, Sequence

import numpy as np

from emobraid.emotions import Emotion

PEOPLE = (
    "my sister", "our neighbour", "the teacher", "my boss", "the doctor", "Anna", "Tom", "Samir", "my friend",
    "the landlord", "grandma", "my flatmate",
)  # fmt: skip
TOPICS = (
    "the exam", "the letter", "the dinner", "the trip", "the phone call", "the new job", "the party", "the old car",
    "the kitchen", "the concert", "the garden", "the long meeting", "the wedding", "the picture",
)  # fmt: skip
TIMES = ("today", "this morning", "last night", "again", "on Sunday", "at work", "after lunch")

FEELINGS: Mapping[str, tuple[str, ...]] = {
    "happy": ("happy", "glad", "delighted", "thrilled", "so pleased", "cheerful"),
    "sad": ("sad", "heartbroken", "lonely", "miserable", "close to tears", "gloomy"),
    "angry": ("angry", "furious", "so mad", "fed up", "outraged", "annoyed"),
    "fear": ("afraid", "scared", "terrified", "frightened", "nervous", "so worried"),
    "surprise": ("surprised", "amazed", "astonished", "stunned", "speechless", "startled"),
    "disgust": ("disgusted", "sick", "revolted", "nauseous", "grossed out", "queasy"),
    "neutral": ("",),  # has sentences of its own only
}
TEMPLATES: Mapping[str, tuple[str, ...]] = {
    "happy": (
        "I love {topic}, it is wonderful",
        "what a lovely day, {person} made me smile",
        "hooray, {topic} went so well",
        "I can not stop smiling about {topic}",
        "it was great fun with {person} {time}",
        "this is the best news about {topic}",
    ),
    "sad": (
        "I miss {person} so much",
        "I cried about {topic} {time}",
        "it hurts that {person} is gone",
        "nothing about {topic} matters any more",
        "I wish {person} was still here",
        "I lost {topic} and I feel so alone",
    ),
    "angry": (
        "how dare {person} talk to me like that",
        "I hate how {person} ruined {topic}",
        "stop it, I have had enough of {topic}",
        "this is so unfair, {person} lied to me",
        "leave me alone about {topic}",
        "I could scream at {person} {time}",
    ),
    "fear": (
        "what if something bad happens to {person}",
        "please help, someone is following {person}",
        "I dread {topic}, it could go wrong",
        "it is dark and I heard a noise {time}",
        "do not leave me alone with {topic}, I am in danger",
        "my hands tremble when I think of {topic}",
    ),
    "surprise": (
        "wow, I never expected {topic}",
        "no way, is that really {person}",
        "what, {person} is here {time}",
        "oh my, I can not believe {topic}",
        "suddenly {person} stood there, unbelievable",
        "really, {topic} came out of nowhere",
    ),
    "disgust": (
        "yuck, {topic} smells rotten",
        "that is gross, {person} spat on the floor",
        "ugh, there was mould all over {topic}",
        "I want to vomit when I think of {topic}",
        "the filth {person} left {time} is vile",
        "take it away, it stinks of {topic}",
    ),
    "neutral": (
        "{topic} starts at three o'clock",
        "{person} takes the bus to {topic}",
        "the form for {topic} has two pages",
        "{person} is at the office until noon",
        "the plan for {topic} is on the table",
        "{topic} is scheduled for Monday",
        "{person} works in the building next to the station",
        "there is a copy of {topic} on the shelf",
        "{person} wrote the date of {topic} on the list",
        "as usual, {person} has the key {time}",
        "{topic} takes about an hour",
        "the address of {person} is on page two",
    ),
}
FELT = (
    "I am {feeling} about {topic}",
    "{person} makes me feel {feeling}",
    "I feel {feeling} {time}",
    "honestly, I was {feeling} after {topic}",
    "I am {feeling} because of {person}",
    "{topic} leaves me {feeling}",
)
# Sentences that fit several emotions, and those emotions.
WEAK: Sequence[tuple[tuple[str, ...], str]] = (
    (("happy", "surprise"), "I have to tell {person} about {topic}"),
    (("happy", "surprise"), "{person} gave me {topic} {time}"),
    (("sad", "fear"), "I do not know what to do about {topic}"),
    (("sad", "fear"), "I can not sleep since {topic}"),
    (("angry", "disgust"), "I do not want to see {person} {time}"),
    (("angry", "disgust"), "just look at what {person} did"),
    (("fear", "surprise"), "did you hear that about {person}"),
    (("sad", "neutral"), "{person} is not coming {time}"),
    (("sad", "angry"), "{person} forgot about {topic}"),
    (tuple(Emotion), "so that was {topic}"),
    (tuple(Emotion), "{person} called me about {topic}"),
    (tuple(Emotion), "I was thinking of {person} {time}"),
    (tuple(Emotion), "you know how {person} is"),
    (tuple(Emotion), "have you seen {topic}"),
    (tuple(Emotion), "now I have to go to {person}"),
)
ENDINGS = (".", ".", ".", "!", "", "...")


def sentence(emotion: Emotion, *, weak: bool, rng: np.random.Generator) -> str:
    """One sentence that expresses `emotion`, or, when `weak`, one that fits it among other emotions."""
    template = str(rng.choice(_templates(emotion, weak=weak)))
    words = template.format(
        person=rng.choice(PEOPLE),
        topic=rng.choice(TOPICS),
        time=rng.choice(TIMES),
        feeling=rng.choice(FEELINGS[emotion]),
    )
    return words[0].upper() + words[1:] + str(rng.choice(ENDINGS))


def _templates(emotion: Emotion, *, weak: bool) -> list[str]:
    if weak:
        return [template for fits, template in WEAK if emotion in fits]
    return [*TEMPLATES[emotion], *(FELT if emotion != Emotion.NEUTRAL else ())]


def syllables(text: str) -> int:
    """Roughly how many syllables `text` has: its groups of vowels, a silent final e not counted; at least one."""
    words = re.findall(r"[a-z']+", text.lower())
    return max(1, sum(max(1, len(re.findall(r"[aeiouy]+", re.sub(r"e$", "", word)))) for word in words))

"""What the lines may take from a person's own words: whom they named and for how long; and what forbids all cheer."""

import re

from emobraid.dialogue.words import READ, even

_NUMBER = (
    r"(?:\d{1,3}|a|an|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|"
    r"seventeen|eighteen|nineteen|twenty(?:[- ]\w+)?|thirty(?:[- ]\w+)?|forty(?:[- ]\w+)?|fifty|sixty)"
)
# only spans that were lived through: "in two days" and "two days ago" are dates
_SPAN = re.compile(
    rf"\b(?:for|after|of|over|been|since|spent|took)"
    rf"(?: (?:the last|the past|about|almost|nearly|over|more than|only))* "
    rf"({_NUMBER} (?:more )?(?:years?|months?|weeks?|days?|hours?|nights?)(?: and a half)?)\b(?! ago| old| time| from)"
)
_CLOSE = (
    r"wife|husband|partner|girlfriend|boyfriend|fianc[eé]e?|ex(?:[- ](?:wife|husband|girlfriend|boyfriend))?|"
    r"mum|mom|mother|"
    r"mam|dad|father|parents|sister|brother|son|daughter|kids?|children|child|baby|grandma|grandmother|gran|nan|grandpa|"
    r"grandfather|grandad|granny|aunt|uncle|cousins?|niece|nephew|best friend|friends?|boss|manager|supervisor|"
    r"colleagues?|coworkers?|co-workers?|team|teachers?|professor|coach|flatmates?|roommates?|housemates?|neighbou?rs?|"
    r"landlord|landlady|"
    r"doctor|therapist|mother-in-law|father-in-law|in-laws|stepdad|stepmum|stepfather|stepmother|family|dog|cat|puppy|kitten"
)
_PERSON = re.compile(
    rf"\b(?:my|our) ((?:(?:best|old|older|younger|little|big|new|former|twin|eldest) )?(?:{_CLOSE}))\b"
)
_NAME = re.compile(rf"\b[Mm]y (?:(?:best|old|little|big) )?(?:{_CLOSE}),? ([A-Z][a-z]+)\b")

# words beside which nothing is cheered, whatever face and voice were read as: death, weapons, doses, blows, blood
_GRAVE = re.compile(
    r"\b(?:die[ds]?|dying|dead|death|deaths|kill\w*|suicid\w*|funeral|cremat\w+|coffin|grave|buried|murder\w*|"
    r"overdos\w+|poison\w*|noose|rope|gun|guns|rifle|pistol|knife|knives|blades?|razors?|weapons?|bullets?|stab\w*|shot|"
    r"shoot\w*|strangl\w+|chok(?:e|ed|es|ing)|"
    r"beat(?:s|ing|en)? (?:me|him|her|us|them|up)|hit(?:s|ting)? (?:me|him|her|us|them)|"
    r"punch\w*|slapp\w+|kick(?:s|ed)? (?:me|him|her|us)|rap(?:e|ed|ist|es)|molest\w+|abus\w+|assault\w*|threaten\w*|"
    r"blood|bleed\w*|bruis\w+|hurt (?:me|myself|him|her|them)|cut(?:ting)? (?:me|myself)|self[- ]?harm\w*|"
    r"cancer|tumou?r|terminal|stroke|heart attack|miscarr\w+|stillborn|icu|intensive care|hospice|"
    rf"{_NUMBER} (?:pills?|tablets?|paracetamol|ibuprofen|aspirins?|sleeping|milligrams?|mg|units|bottles of)|"
    r"pills|tablets|paracetamol|insulin)\b"
)


def slots(said: str) -> dict[str, str]:
    """What fills {person} ("your wife") and {time} ("eleven years"); only what was found."""
    text = even(said)
    found = {}
    if named := _NAME.search(said[:READ]):
        found["person"] = named[1]
    elif close := _PERSON.search(text):
        found["person"] = f"your {close[1]}"
    if span := _SPAN.search(text):
        found["time"] = span[1]
    return found


def grave(said: str) -> bool:
    """Whether `said` holds words beside which nothing is cheered, and no activity is suggested."""
    return _GRAVE.search(even(said)) is not None

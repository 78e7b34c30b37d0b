"""An answer to what a person expressed: strategies as data, the safety net before anything else."""

from emobraid.dialogue.builtin import BuiltIn
from emobraid.dialogue.conversation import Conversation
from emobraid.dialogue.help_lines import crisis_help
from emobraid.dialogue.history import History, Point, Reply, Responder, Turn
from emobraid.dialogue.llm import Llm
from emobraid.dialogue.safety import Alarm, is_crisis, look

__all__ = [
    "Alarm",
    "BuiltIn",
    "Conversation",
    "History",
    "Llm",
    "Point",
    "Reply",
    "Responder",
    "Turn",
    "crisis_help",
    "is_crisis",
    "look",
]

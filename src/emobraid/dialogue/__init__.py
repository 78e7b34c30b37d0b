"""An answer to what a person expressed: strategies as data, help in a crisis before anything else."""

from emobraid.dialogue.builtin import BuiltIn
from emobraid.dialogue.conversation import Conversation
from emobraid.dialogue.crisis import is_crisis
from emobraid.dialogue.help_lines import crisis_help
from emobraid.dialogue.history import History, Point, Reply, Responder, Turn
from emobraid.dialogue.llm import Llm

__all__ = [
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
]

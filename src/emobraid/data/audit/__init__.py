"""Look a corpus over before training on it: what is there, what should be, what is broken and what to do about it."""

from emobraid.data.audit.findings import Audit, Finding, Progress, State
from emobraid.data.audit.look import audit

__all__ = ["Audit", "Finding", "Progress", "State", "audit"]

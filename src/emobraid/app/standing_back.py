"""Threads that work let the one that answers go first."""

import os
import sys
import threading

NICE = 5  # steps by which the kernel prefers the thread that answers


def stand_back() -> None:
    """Lowers the priority of the calling thread, and of those that it starts (Linux; elsewhere it would be that of the
    whole process, so nothing is done)."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, min(19, os.getpriority(os.PRIO_PROCESS, thread) + NICE))

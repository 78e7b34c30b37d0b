"""Media files as 16 kHz sound and timed face crops. The only way from a file to arrays.

A decoder is fed by strangers, may loop forever and may ask for any amount of memory, and a thread cannot be stopped.
So every decode runs in a child process (`emobraid.decoding`) under limits, and this module decodes nothing. Parent
and child exchange JSON and raw array bytes whose sizes the parent checks, never pickles: a child that a file has
taken over must not be able to run code here. The parent opens the file and hands over the open descriptor, so what
was checked is what is read. Linux and macOS; the limit on memory holds on Linux only.
"""

from emobraid.media.kinds import SAMPLE_RATE, Audio, Faces, Limits, MediaBytes, MediaError, Side
from emobraid.media.reader import MediaReader

__all__ = ["SAMPLE_RATE", "Audio", "Faces", "Limits", "MediaBytes", "MediaError", "MediaReader", "Side"]

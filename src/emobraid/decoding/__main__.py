"""What runs inside a decoder child: one open file in, its sound and face crops out. Only `emobraid.media` starts it.

The child gives up writing files, and the network where the system allows that. It is handed the one file to read; a
file that names other files (a playlist) is refused by its format, and by `refuse_other_files` if that should fail.
Shapes: N samples, C channels, T frames, H x W pixels.
"""

import ctypes
import io
import json
import os
import resource
import select
import socket
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from emobraid.decoding.blazeface import Image
from emobraid.decoding.faces import NO_FACES, Detector, blazeface, faces_in, yunet
from emobraid.decoding.length import length_of
from emobraid.decoding.pictures import look, room, shrunk
from emobraid.decoding.room import within
from emobraid.decoding.sound import NO_AUDIO, hear
from emobraid.decoding.tracks import Damaged, Refused, refuse_strangers
from emobraid.media.kinds import Audio, Faces
from emobraid.media.wire import fill, receive, send


def main() -> None:
    """Answers requests from standard input, which is a socket, until it ends."""
    settings = json.loads(sys.argv[1])
    channel = socket.socket(fileno=sys.stdin.fileno())
    model = settings["face_model"]
    cv2.setNumThreads(1)
    try:
        detect = yunet(model) if model else blazeface()
    except cv2.error:
        send(channel, {"error": f"face_model {model} is not a YuNet model that OpenCV can read"})
        return
    confine(settings["memory"])
    send(channel, {"ready": True})
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # from here on, libraries complain about the file, not about us
    while True:
        mark, files, _, _ = socket.recv_fds(channel, 1, 1)
        if not mark:
            return
        serve(channel, receive(channel), files, detect)


def confine(memory: int) -> None:
    """Gives up what decoding never needs, and all memory but `memory` bytes more than what is mapped by now."""
    new_user_and_network = 0x10000000 | 0x40000000
    if hasattr(libc := ctypes.CDLL(None), "unshare"):
        libc.unshare(new_user_and_network)  # refused on some systems: then the list of formats has to do
    threading.Thread(target=end_with_parent, args=(os.getppid(),), daemon=True).start()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if (statm := Path("/proc/self/statm")).exists():
        total = int(statm.read_text().split()[0]) * resource.getpagesize() + memory
        resource.setrlimit(resource.RLIMIT_AS, (total, total))


def end_with_parent(parent: int) -> None:
    """Watches for the end of a parent that was killed outright, because a busy decoder does not read its socket."""
    hung_up = select.poll()
    hung_up.register(sys.stdin.fileno(), getattr(select, "POLLRDHUP", 0))
    while os.getppid() == parent and not hung_up.poll(1000):
        pass
    os._exit(1)


def serve(channel: socket.socket, request: dict[str, Any], files: list[int], detect: Detector) -> None:
    """Answers one request, with samples, times and crops or with the reason why not."""
    spent = resource.getrusage(resource.RUSAGE_SELF)
    until = int(spent.ru_utime + spent.ru_stime + request["deadline"]) + 2
    resource.setrlimit(resource.RLIMIT_CPU, (until, resource.RLIM_INFINITY))
    try:
        length = 0.0
        if files:
            with io.FileIO(files[0]) as file, within(file, request):
                audio, faces = read(file, request, detect)
                length = length_of(file, request) if "measure" in request else length
        else:
            audio, faces = NO_AUDIO, faces_in(*received(channel, request), request, detect)
    except Refused as refused:
        send(channel, {"error": str(refused)})
    except MemoryError:
        text = f"decoding needs more than {request['memory'] >> 20} MB; the file is too large or damaged"
        send(channel, {"error": text, "retire": True})
    except Exception as error:  # of a library, or ours: a strange file must not end a long run
        send(channel, {"error": f"could not be decoded ({type(error).__name__}: {error})", "retire": True})
    else:
        counts = {"samples": len(audio.samples), "faces": len(faces.times), "length": length}
        notes = {"audio_note": audio.note, "faces_note": faces.note}
        send(channel, {**counts, **notes}, audio.samples, faces.times, faces.crops)


def received(channel: socket.socket, request: Mapping[str, Any]) -> tuple[list[Image], list[float]]:
    """Frames that were in the parent's memory, and their times."""
    images = []
    for _ in request["times"]:
        image = np.empty(request["shape"], np.uint8)
        fill(channel, image)
        images.append(shrunk(image, room(request)))
    return images, request["times"]


def read(file: io.FileIO, request: dict[str, Any], detect: Detector) -> tuple[Audio, Faces]:
    refuse_strangers(os.pread(file.fileno(), 512, 0))
    audio, faces = NO_AUDIO, NO_FACES
    try:
        audio = hear(file, request) if "audio" in request else audio
    except Damaged as damage:
        if "faces" not in request:
            raise
        audio = NO_AUDIO._replace(note=str(damage))
    try:
        faces = look(file, request, detect) if "faces" in request else faces
    except Damaged as damage:
        if not len(audio.samples):
            raise
        faces = NO_FACES._replace(note=str(damage))
    return audio, faces


if __name__ == "__main__":
    main()

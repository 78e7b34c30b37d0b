"""The HTTP API under load: kept connections, a flood, bodies of a million keys, a huge upload, slow sockets.

Starts `emobraid serve` by itself; loopback only.

python benchmarks/server_load.py --model_path emobraid/compact --clients 1 32 128 --seconds 20 --requests 20000
"""

import argparse
import http.client
import json
import os
import selectors
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

SENTENCES = [
    "I am so glad",
    "this is the worst day of my life and I do not know what to do about it",
    "well",
    "no way!",
]


@contextmanager
def server(model_path: Path, *flags: str) -> Iterator[tuple[int, int]]:
    """Port and process id of a fresh one, once it is ready."""
    command = [sys.executable, "-m", "emobraid", "serve", "--model_path", str(model_path), "--port", "0", "--no_page"]
    with subprocess.Popen([*command, *flags], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("http"):
            sys.exit("the server did not start")
        port = int(line.split()[0].rsplit(":", 1)[1])
        while ask(port, "GET", "/readyz")[0] != 200:
            time.sleep(0.1)
        try:
            yield port, process.pid
        finally:
            process.terminate()
            print(f"stopped with exit code {process.wait(30)}")


def ask(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, str | None]:
    """Status and Retry-After; 0 when the connection broke."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, {} if body is None else {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
    except OSError:
        return 0, None
    finally:
        connection.close()
    return answer.status, answer.getheader("Retry-After")


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


@contextmanager
def watched(port: int, name: str) -> Iterator[None]:
    """Asks /livez ten times a second meanwhile, from a process of its own, and tells how long it took."""
    code = f"from server_load import pulse; pulse({port})"
    folder = str(Path(__file__).parent)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder
    ) as probe:
        time.sleep(1)
        yield
        told, _ = probe.communicate("stop\n")
    taken = json.loads(told)
    print(f"{name}: /livez p50 {statistics.median(taken):.0f} ms, p99 {percentile(taken, 0.99):.0f} ms", end="")
    print(f", worst {max(taken):.0f} ms of {len(taken)}")


def pulse(port: int) -> None:
    """What the probe does until it is told to stop."""
    stopped, taken = threading.Event(), list[float]()

    def wait() -> None:
        sys.stdin.readline()
        stopped.set()

    threading.Thread(target=wait, daemon=True).start()
    while not stopped.wait(0.1):
        started = time.perf_counter()
        status, _ = ask(port, "GET", "/livez")
        taken.append(1000 * (time.perf_counter() - started) if status == 200 else 60_000.0)
    print(json.dumps(taken))


def asking(number: int) -> bytes:
    """A whole request, made once: the client must not be what is measured."""
    body = json.dumps({"text": SENTENCES[number % len(SENTENCES)]}).encode()
    head = (
        f"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    )
    return head.encode() + b"\r\n\r\n" + body


def answered(got: bytes) -> int:
    """The status of a whole answer; 0 while some of it is missing."""
    head, _, body = got.partition(b"\r\n\r\n")
    length = next((line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), None)
    return int(head[9:12]) if length and len(body) >= int(length.partition(b":")[2]) else 0


def kept(port: int, clients: int, *, seconds: float = 1e9, requests: int = 10**9) -> tuple[Counter[int], list[float]]:
    """Closed loop over kept connections, one thread for all; who is refused comes again after 0.1 s, anew
    where the server closes the connection."""
    waiting, statuses, taken = selectors.DefaultSelector(), Counter[int](), list[float]()
    began: dict[socket.socket, float] = {}
    got: dict[socket.socket, bytes] = {}
    later: list[tuple[float, socket.socket]] = []
    sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(clients)]
    words = {sock: asking(i) for i, sock in enumerate(sockets)}
    until = time.monotonic() + seconds

    def renewed(number: int) -> socket.socket:
        waiting.unregister(sockets[number])
        sockets[number].close()
        sockets[number] = fresh = socket.create_connection(("127.0.0.1", port))
        words[fresh] = asking(number)
        waiting.register(fresh, selectors.EVENT_READ, number)
        return fresh

    def send(sock: socket.socket) -> None:
        began[sock], got[sock] = time.perf_counter(), b""
        sock.sendall(words[sock])

    for number, sock in enumerate(sockets):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        waiting.register(sock, selectors.EVENT_READ, number)
        send(sock)
    while time.monotonic() < until and statuses.total() < requests:
        while later and later[0][0] < time.monotonic():
            send(later.pop(0)[1])
        for key, _ in waiting.select(0.01):
            sock = sockets[key.data]
            got[sock] += sock.recv(1 << 16)
            if not (status := answered(got[sock])):
                continue
            if b"connection: close" in got[sock].lower():
                renewed(key.data)
            statuses[status] += 1
            if status == 200:
                taken.append(1000 * (time.perf_counter() - began[sock]))
                send(sockets[key.data])
            else:
                later.append((time.monotonic() + 0.1, sockets[key.data]))
    for sock in sockets:
        sock.close()
    return statuses, taken


def table(port: int, pid: int, clients: list[int], seconds: float) -> None:
    """A line for each number of clients."""
    for count in clients:
        spent = cpu(pid)
        with watched(port, f"{count} kept connections"):
            statuses, taken = kept(port, count, seconds=seconds)
        told = ", ".join(f"{n} x {status}" for status, n in sorted(statuses.items()))
        print(f"  {told}; {statuses[200] / seconds:.0f} readings/s, p50 {statistics.median(taken):.1f} ms, ", end="")
        print(f"p99 {percentile(taken, 0.99):.1f} ms; {1000 * (cpu(pid) - spent) / len(taken):.2f} ms of CPU a reading")


def memory(port: int, pid: int, requests: int) -> None:
    """What the server holds before and after many requests."""
    kept(port, 32, requests=500)
    before = resident(pid)
    kept(port, 32, requests=requests)
    after = resident(pid)
    print(f"memory over {requests:,} requests: {before:.0f} -> {after:.0f} MB ({100 * (after / before - 1):+.1f} %)")


def stuffed(port: int, pid: int) -> None:
    """Bodies that are short enough and hold far too much."""
    keys = b"{" + b",".join(b'"k%d":1' % i for i in range(1_500_000)) + b"}"
    for path in ("/v1/predict", "/v1/chat"):
        before, started = resident(pid), time.perf_counter()
        with watched(port, f"1.5 million keys to {path}"):
            status, _ = ask(port, "POST", path, keys)
            taken = time.perf_counter() - started - 1  # the second in which the probe starts
        print(f"  {status} after {1000 * taken:.0f} ms; memory {before:.0f} -> {resident(pid):.0f} MB")


def cpu(pid: int) -> float:
    """Seconds of CPU that a process has taken (Linux)."""
    told = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")


def flood(port: int, clients: int, seconds: float) -> None:
    """Closed loop: everyone asks again as soon as answered, or after a pause of Retry-After / 10 when refused."""
    until, statuses, taken = time.monotonic() + seconds, Counter[str](), list[float]()

    def client(number: int) -> None:
        while time.monotonic() < until:
            body = json.dumps({"text": SENTENCES[number % len(SENTENCES)]}).encode()
            started = time.perf_counter()
            status, retry = ask(port, "POST", "/v1/predict", body)
            statuses[f"{status}{'' if status != 503 or retry else ' without Retry-After'}"] += 1
            if status == 200:
                taken.append(1000 * (time.perf_counter() - started))
            else:
                time.sleep(0.1)

    with watched(port, f"{clients} clients"), ThreadPoolExecutor(clients) as pool:
        list(pool.map(client, range(clients)))
    told = ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items()))
    print(f"  {told}; {statuses['200'] / seconds:.0f} readings/s, ", end="")
    print(f"p50 {statistics.median(taken):.0f} ms, p95 {percentile(taken, 0.95):.0f} ms")


def huge(port: int, pid: int, megabytes: int) -> None:
    """An upload far beyond the limit, in chunks that nobody announced."""
    before = resident(pid)
    sent, answer, most = 0, b"", before
    started = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port)) as sock:
        head = "POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        sock.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        chunk = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
        try:
            for _ in range(megabytes):
                sock.sendall(chunk)
                sent += 1
                most = max(most, resident(pid))
        except OSError:
            pass
        try:
            answer = sock.recv(4096)
        except OSError:
            answer = b"(reset)"
    status = answer.split(b"\r\n")[0].decode()
    print(f"{megabytes} MB upload: {status!r} after {sent} MB and {time.perf_counter() - started:.2f} s; ", end="")
    print(f"the server grew by {most - before:.0f} MB")


def resident(pid: int) -> float:
    """Megabytes that a process holds (Linux)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def slow(port: int, count: int) -> None:
    """Sockets that send a byte of their headers a second; how long they were borne."""
    sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
    started, ends = time.monotonic(), []
    with watched(port, f"{count} slow sockets"):
        while sockets and time.monotonic() - started < 60:
            for sock in list(sockets):
                try:
                    sock.sendall(b"G")
                except OSError:
                    sockets.remove(sock)
                    sock.close()
                    ends.append(time.monotonic() - started)
            time.sleep(1)
    print(f"  {len(ends)} of {count} closed, the last after {max(ends, default=0):.0f} s (limit 10 s)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model_path", type=Path, default=Path("checkpoints/best_model"))
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 32, 128])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--requests", type=int, default=20_000, help="over which memory is watched")
    args = parser.parse_args()
    with server(args.model_path) as (port, pid):
        kept(port, 4, requests=200)
        table(port, pid, args.clients, args.seconds)
        memory(port, pid, args.requests)
        stuffed(port, pid)
        flood(port, max(args.clients), args.seconds)
        huge(port, pid, 200)
        slow(port, 200)


if __name__ == "__main__":
    main()

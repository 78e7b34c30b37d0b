"""Many people talk to one server at once: does anybody get an answer, or a history, of somebody else's?

python benchmarks/server_sessions.py --model_path emobraid/compact --people 1000 --turns 200 --at_once 16

Every person has a name of random letters, says it in each of their turns, in random order among all people, and leaves
at times (DELETE /v1/session). An answer that holds another's name, or a session that a second person is given, is a
failure; exit code 1. `--turns` is how many each person says.
"""

import argparse
import http.client
import json
import random
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from server_load import server


class Person:
    """Who says a name nobody else has, and keeps a cookie."""

    def __init__(self, draw: random.Random) -> None:
        self.name = "".join(draw.choices("bcdfghjklmnpqrstvwxz", k=16))
        self.cookie, self.lock = "", threading.Lock()

    def turn(self, port: int, leaves: bool) -> tuple[int, str, str]:
        """Status, answer, and the cookie that was given."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        headers = {"Content-Type": "application/json", **({"Cookie": self.cookie} if self.cookie else {})}
        method, path = ("DELETE", "/v1/session") if leaves else ("POST", "/v1/chat")
        body = None if leaves else json.dumps({"text": f"{self.name} and I had a strange day"})
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        text, given = answer.read().decode(), answer.getheader("Set-Cookie", "")
        connection.close()
        self.cookie = "" if leaves else given.partition(";")[0] or self.cookie
        return answer.status, text, self.cookie


def talk(port: int, people: list[Person], turns: int, at_once: int, seed: int) -> tuple[Counter[int], list[str]]:
    """All turns of all people in random order; statuses, and what went wrong."""
    draw = random.Random(seed)
    order = [(person, draw.random() < 0.02) for person in people for _ in range(turns)]
    draw.shuffle(order)
    names = {person.name for person in people}
    statuses, wrong, owners = Counter[int](), list[str](), dict[str, str]()
    noting = threading.Lock()

    def one(turn: tuple[Person, bool]) -> None:
        person, leaves = turn
        with person.lock:
            status, text, cookie = person.turn(port, leaves)
        with noting:
            statuses[status] += 1
            said = set(text.replace('"', " ").replace(",", " ").replace(".", " ").split())
            if others := (said & names) - {person.name}:
                wrong.append(f"{person.name} was told of {', '.join(others)}")
            if cookie and owners.setdefault(cookie, person.name) != person.name:
                wrong.append(f"{person.name} was given the session of {owners[cookie]}")

    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(one, order))
    return statuses, wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model_path", type=Path, default=Path("checkpoints/best_model"))
    parser.add_argument("--people", type=int, default=1000)
    parser.add_argument("--turns", type=int, default=200)
    parser.add_argument("--at_once", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    draw = random.Random(args.seed)
    people = [Person(draw) for _ in range(args.people)]
    with server(args.model_path) as (port, _):
        statuses, wrong = talk(port, people, args.turns, args.at_once, args.seed)
    print(f"{args.people:,} people, {statuses.total():,} turns: {dict(statuses)}; {len(wrong)} of another's")
    print("\n".join(wrong[:20]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

"""Makes what the dialogue understands with: a small sentence encoder, and on its first layers the safety net.

    python benchmarks/dialogue_train.py --encoder DIR --output_dir runs/dialogue
    python benchmarks/dialogue_train.py --encoder DIR --output_dir runs/dialogue --held_out w3     # judged on writer 3

DIR is a MiniLM as transformers saves it (all-MiniLM-L6-v2, Apache-2.0). The sentences are benchmarks/dialogue/*.txt (a
file a writer, `## kind` and one sentence a line) and the utterances of src/emobraid/dialogue/lines/*.toml. With
--comments (a column `text` of everyday comments, such as GoEmotions) more harmless ones are taken.
"""

import argparse
import csv
import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from emobraid.dialogue.crisis import detect
from emobraid.dialogue.moves import moves
from emobraid.dialogue.net import HEARD, NET, new_top, through
from emobraid.dialogue.understanding import write_vectors
from emobraid.encoders.minilm import WEIGHTS, MiniLm, from_rows, in_rows

LISTS = Path(__file__).parent / "dialogue"
LONGEST = 64  # pieces of a sentence


@dataclass(frozen=True)
class Sentence:
    text: str
    label: int  # index in HEARD
    kind: str
    writer: str


def sentences(path: Path) -> Iterator[Sentence]:
    """The sentences of one writer's file."""
    kind = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            kind = line[3:].strip()
        elif line.strip():
            label = next((i for i, name in enumerate(HEARD) if kind.startswith(name)), 0)
            yield Sentence(line.strip(), label, kind, path.stem)


def of_equal_length(rows: list[Sentence], size: int, rng: random.Random) -> list[list[Sentence]]:
    """Batches in a random order, each of rows of about one length: half of a mixed batch is padding."""
    rows = rng.sample(rows, len(rows))
    pools = [rows[i : i + 16 * size] for i in range(0, len(rows), 16 * size)]
    pools = [sorted(pool, key=lambda s: len(s.text)) for pool in pools]
    batches = [pool[i : i + size] for pool in pools for i in range(0, len(pool), size)]
    return rng.sample(batches, len(batches))


def typed_again(text: str, rng: random.Random) -> str:
    """The same words as somebody else might type them: no marks, a slip of a finger, capitals."""
    chance = rng.random()
    if chance < 0.2:
        text = re.sub(r"[^\w\s]", "", text)
    if 0.15 < chance < 0.3 and len(text) > 8:
        i = rng.randrange(1, len(text) - 2)
        text = rng.choice([text[:i] + text[i + 1 :], text[:i] + text[i + 1] + text[i] + text[i + 2 :]])
    return text


def train(encoder: MiniLm, top: nn.Sequential, told: list[Sentence], settings: argparse.Namespace) -> None:
    """Teaches the net's own layers; those of the encoder below them stay as they are."""
    rng = random.Random(settings.seed)
    for parameter in encoder.parameters():
        parameter.requires_grad_(False)
    groups = [
        {"params": top[:-1].parameters(), "lr": settings.learning_rate},
        {"params": top[-1].parameters(), "lr": 10 * settings.learning_rate},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.01)
    steps = settings.epochs * (len(told) // settings.batch + len(told) // (16 * settings.batch) + 2)
    rates = [group["lr"] for group in groups]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, total_steps=steps, pct_start=0.1)
    weights = torch.tensor([1.0] + [1.3] * (len(HEARD) - 1))  # a missed cry costs more than a false alarm
    harmless = [s.text for s in told if s.label == 0]
    top.train()
    for epoch in range(settings.epochs):
        total = 0.0
        batches = of_equal_length(told, settings.batch, rng)
        for batch in batches:
            texts = [typed_again(s.text, rng) for s in batch]
            texts = [f"{rng.choice(harmless)} {t}" if rng.random() < 0.06 else t for t in texts]
            ids, mask = encoder.batch(texts)
            ids, mask = ids[:, :LONGEST], mask[:, :LONGEST]
            with torch.autocast("cpu", torch.bfloat16, enabled=settings.bfloat16):
                logits = through(encoder, top, ids, mask).float()
            labels = torch.tensor([s.label for s in batch])
            loss = F.cross_entropy(logits, labels, weight=weights, label_smoothing=0.03)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(top.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch + 1}: loss {total / len(batches):.3f}", flush=True)
    top.eval()


@torch.inference_mode()
def dangers(encoder: MiniLm, top: nn.Sequential, texts: list[str]) -> Tensor:
    """(N,) how likely each text tells of danger."""
    some = [texts[i : i + 64] for i in range(0, len(texts), 64)]
    return 1 - torch.cat([through(encoder, top, *encoder.batch(part)).softmax(-1) for part in some])[:, 0]


def report(encoder: MiniLm, top: nn.Sequential, held: list[Sentence], thresholds: tuple[float, ...]) -> None:
    """What is caught of sentences that were not trained on, by kind."""
    likely = dangers(encoder, top, [s.text for s in held])
    print(f"{'kind':24} {'n':>4} " + " ".join(f">{t:.2f}" for t in thresholds))
    for kind in dict.fromkeys(s.kind for s in held):
        own = likely[torch.tensor([s.kind == kind for s in held])]
        print(f"{kind:24} {len(own):4} " + " ".join(f"{(own > t).float().mean():5.3f}" for t in thresholds))
    for name, some in (("danger plain", "_plain"), ("danger aslant", "_aslant")):
        own = likely[torch.tensor([s.kind.endswith(some) for s in held])]
        print(f"{name:24} {len(own):4} " + " ".join(f"{(own > t).float().mean():5.3f}" for t in thresholds))
    own = likely[torch.tensor([s.label == 0 for s in held])]
    print(f"{'harmless':24} {len(own):4} " + " ".join(f"{(own > t).float().mean():5.3f}" for t in thresholds))


def used_pieces(encoder: MiniLm, texts: list[str], most: int) -> list[int]:
    """The rows of the vocabulary to keep: special ones, single signs, and the most frequent pieces of `texts`."""
    assert encoder.pieces is not None
    counts = torch.zeros(encoder.sizes["vocabulary"])
    for text in texts:
        counts.index_add_(0, torch.tensor(encoder.pieces(text)), torch.ones(len(encoder.pieces(text))))
    vocabulary = encoder.pieces.vocabulary
    always = {i for i, p in enumerate(vocabulary) if p in SPECIAL or len(p.removeprefix("##")) == 1}
    common = counts.argsort(descending=True, stable=True).tolist()
    # where texts do not tell, the order of the vocabulary does: BERT's is by frequency
    rest = [i for i in common if counts[i] > 0] + [i for i in range(len(vocabulary)) if counts[i] == 0]
    return sorted(always | set([i for i in rest if i not in always][: most - len(always)]))


SPECIAL = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", type=Path, help="the folder of the MiniLM to begin from")
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--begin", type=Path, help="a net.safetensors to go on from, instead of the encoder's layers")
    parser.add_argument(
        "--rounds", type=Path, nargs="*", default=[], help="rounds that have judged enough, to learn from"
    )
    parser.add_argument("--most_comments", type=int, default=5000)
    parser.add_argument("--held_out", default="", help="writers that only judge, with commas between")
    parser.add_argument("--comments", type=Path, help="everyday comments: a CSV with `text`, or a TSV")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--learning_rate", type=float, default=1e-4)
    parser.add_argument("--layers", type=int, default=4, help="of the net alone, on those of the encoder below them")
    parser.add_argument("--pieces", type=int, default=12_000, help="of the vocabulary that is kept")
    parser.add_argument("--crisis", type=float, default=0.97, help="likelihood from which help is given at once")
    parser.add_argument("--caution", type=float, default=0.3, help="likelihood from which one question is asked")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bfloat16", action="store_true", help="train in 16 bits, where the processor is faster so")
    parser.add_argument(
        "--vectors_only", action="store_true", help="lines were changed: read them again, train nothing"
    )
    settings = parser.parse_args()
    torch.manual_seed(settings.seed)
    torch.set_num_threads(1)
    if settings.vectors_only:
        write_vectors(settings.output_dir, MiniLm.from_folder(settings.output_dir), spoken())
        return
    if settings.encoder is None:
        parser.error("--encoder DIR: the MiniLM to begin from")
    held_out = set(filter(None, settings.held_out.split(",")))
    told = [s for path in sorted(LISTS.glob("w*.txt")) for s in sentences(path)]
    told += [s for path in settings.rounds for s in sentences(path)]
    held = [s for s in told if s.writer in held_out]
    told = [s for s in told if s.writer not in held_out]
    encoder = MiniLm.from_folder(settings.encoder)
    top = new_top(encoder, settings.layers, dropout=0.1)
    own = nn.ModuleList(encoder.layers[-settings.layers :])
    if settings.begin:
        top.load_state_dict(from_rows(load_file(settings.begin)))
    else:
        top[:-1].load_state_dict({name: value.clone() for name, value in own.state_dict().items()})
    # what is said in an ordinary situation is harmless; it is the larger half of all that will ever be said
    uttered = [text for move in moves().values() for text in move.said]
    everyday = [Sentence(text, 0, "situation", "lines") for text in [*uttered, *odd_turns()]]
    comments = list(everyday_comments(settings.comments, settings.most_comments)) if settings.comments else []
    counts = {"sentences": told, "utterances": everyday, "comments": comments, "held out": held}
    print(", ".join(f"{len(some)} {name}" for name, some in counts.items()), flush=True)
    train(encoder, top, told + everyday + comments, settings)
    if held:
        report(encoder, top, held, (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9))
    save(encoder, top, [s.text for s in told] + uttered, settings)


def odd_turns() -> Iterator[str]:
    """Harmless turns of every second conversation that judges the dialogue: the first, the third ... The others judge
    how often the net takes such turns for danger."""
    for number, block in enumerate((LISTS / "conversations.txt").read_text(encoding="utf-8").split("# ")[1:]):
        if number % 2 == 0:
            yield from (line.strip() for line in block.splitlines()[1:] if line.strip() and "\tDANGER" not in line)


def everyday_comments(path: Path, most: int = 5000) -> Iterator[Sentence]:
    """Comments that no pattern takes for a crisis; a few of them may be one, which smoothing of labels allows for."""
    with path.open(encoding="utf-8", newline="") as file:
        if path.suffix == ".tsv":  # GoEmotions' own tables have no header; the comment comes first
            rows = [line.split("\t")[0] for line in file]
        else:
            rows = [row["text"] for row in csv.DictReader(file)]
    random.Random(0).shuffle(rows)
    yield from (Sentence(text, 0, "comment", "comments") for text in rows[:most] if not detect(text))


def save(encoder: MiniLm, top: nn.Sequential, texts: list[str], settings: argparse.Namespace) -> None:
    """The net; and where the folder holds no encoder, the one that it stands on and a vector for every utterance.

    One that is there shares its first layers with ours (benchmarks/dialogue_moves.py tunes only the upper ones)."""
    told = {"layers": settings.layers, "crisis": settings.crisis, "caution": settings.caution}
    settings.output_dir.mkdir(parents=True, exist_ok=True)
    save_file(in_rows(top.state_dict()), settings.output_dir / NET, metadata={"settings": json.dumps(told)})
    if not (settings.output_dir / WEIGHTS).exists():
        assert encoder.pieces is not None
        vocabulary = encoder.pieces.vocabulary
        keep = used_pieces(encoder, texts, settings.pieces)
        encoder.cut(keep).save(settings.output_dir, [vocabulary[i] for i in keep])
        write_vectors(settings.output_dir, MiniLm.from_folder(settings.output_dir), spoken())
    print(f"saved to {settings.output_dir}")


def spoken() -> list[str]:
    """Every utterance of the lines, once."""
    return list(dict.fromkeys(text for move in moves().values() for text in move.said))


if __name__ == "__main__":
    main()

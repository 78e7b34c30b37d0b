"""Teaches the dialogue's sentence encoder which utterances make the same move: its upper layers, on lines/*.toml.

    python benchmarks/dialogue_moves.py --encoder DIR --output_dir src/emobraid/weights/dialogue --comments comments.tsv

The first layers stay as they are, since the safety net stands on them. Comments are words that make no known move, so
that the likeness to all of them stays low. One utterance in eight is held out and judges.
"""

import argparse
import random
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dialogue_train import LISTS, LONGEST, everyday_comments, sentences, spoken, typed_again, used_pieces
from emobraid.dialogue.moves import moves
from emobraid.dialogue.understanding import write_vectors
from emobraid.encoders.minilm import MiniLm, mean

SCALE = 20.0  # of cosines before the softmax
ELSEWHERE = 0.45  # the cosine that stands for no known move
OTHER = -1  # the label of a comment


def rows_of(rng: random.Random) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """(utterance, number of its move) to learn from, and those that judge."""
    learnt: list[tuple[str, int]] = []
    held: list[tuple[str, int]] = []
    for i, move in enumerate(moves().values()):
        for text in move.said:
            (held if rng.random() < 0.125 and len(move.said) > 4 else learnt).append((text, i))
    return learnt, held


def vectors(encoder: MiniLm, texts: list[str], *, bfloat16: bool) -> Tensor:
    ids, mask = encoder.batch(texts)
    ids, mask = ids[:, :LONGEST], mask[:, :LONGEST]
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        x = encoder(ids, mask)
    return mean(x.float(), mask)


def train(encoder: MiniLm, learnt: list[tuple[str, int]], settings: argparse.Namespace, rng: random.Random) -> None:
    for part in (encoder.words, encoder.places, encoder.norm, *encoder.layers[: settings.frozen]):
        part.requires_grad_(False)
    upper = [p for p in encoder.parameters() if p.requires_grad]
    count = len(moves())
    start = torch.zeros(count, encoder.sizes["width"])
    with torch.no_grad():
        for at in range(0, len(learnt), 64):
            some = learnt[at : at + 64]
            start.index_add_(0, torch.tensor([n for _, n in some]), encoder.embed([t for t, _ in some]))
    prototypes = nn.Parameter(F.normalize(start, dim=-1))
    comments = [(s.text, OTHER) for s in everyday_comments(settings.comments)] if settings.comments else []
    rows = learnt + comments
    steps = settings.epochs * (len(rows) // settings.batch + len(rows) // 1024 + 2)
    rates = [settings.learning_rate, 30 * settings.learning_rate]
    optimizer = torch.optim.AdamW(
        [{"params": upper, "lr": rates[0]}, {"params": [prototypes], "lr": rates[1], "weight_decay": 0.0}]
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, total_steps=steps, pct_start=0.1)
    encoder.train()
    for epoch in range(settings.epochs):
        order = rng.sample(rows, len(rows))
        pools = [sorted(order[i : i + 1024], key=lambda row: len(row[0])) for i in range(0, len(order), 1024)]
        batches = [pool[i : i + settings.batch] for pool in pools for i in range(0, len(pool), settings.batch)]
        total = 0.0
        for batch in rng.sample(batches, len(batches)):
            own = vectors(encoder, [typed_again(t, rng) for t, _ in batch], bfloat16=settings.bfloat16)
            scores = own @ F.normalize(prototypes, dim=-1).T
            scores = SCALE * torch.cat([scores, torch.full((len(batch), 1), ELSEWHERE)], 1)
            labels = torch.tensor([n if n != OTHER else count for _, n in batch])
            loss = F.cross_entropy(scores, labels, label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(upper, 1.0)
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch + 1}: loss {total / len(batches):.3f}", flush=True)
        encoder.eval()
        judge(encoder, learnt, settings.held)
        encoder.train()
    encoder.eval()


@torch.inference_mode()
def judge(encoder: MiniLm, learnt: list[tuple[str, int]], held: list[tuple[str, int]]) -> None:
    """How often the nearest move is the right one, for utterances that were held out, by how sure it is."""
    known = torch.cat([encoder.embed([t for t, _ in learnt[i : i + 64]]) for i in range(0, len(learnt), 64)])
    said = torch.cat([encoder.embed([t for t, _ in held[i : i + 64]]) for i in range(0, len(held), 64)])
    owner, right = torch.tensor([n for _, n in learnt]), torch.tensor([n for _, n in held])
    after = torch.tensor([move.after != "" for move in moves().values()])
    centres = F.normalize(torch.zeros(len(moves()), known.shape[1]).index_add_(0, owner, known), dim=-1)
    best = torch.full((len(held), len(moves())), -1.0)
    best = best.scatter_reduce(1, owner.expand(len(held), -1), said @ known.T, "amax")
    for name, scores in (("nearest", best), ("centre", said @ centres.T), ("both", (best + said @ centres.T) / 2)):
        free = ~after[right]
        likeness, chosen = scores.masked_fill(after, -1.0)[free].max(1)
        hit = chosen == right[free]
        order = likeness.argsort(descending=True)
        shares = []
        for share in (0.5, 0.7, 0.9, 1.0):
            top = order[: int(share * len(order))]
            shares.append(f"{share:.0%} surest {hit[top].float().mean():.3f} (from {likeness[top[-1]]:.2f})")
        print(f"  {name}: " + ", ".join(shares), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", type=Path, required=True, help="the folder of the MiniLM to begin from")
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--comments", type=Path, help="everyday comments: a CSV with `text`, or a TSV")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--layers", type=int, default=6, help="of the encoder that are kept")
    parser.add_argument("--frozen", type=int, default=2, help="layers that stay as they are")
    parser.add_argument("--learning_rate", type=float, default=1.5e-4)
    parser.add_argument("--pieces", type=int, default=14_000, help="of the vocabulary that is kept")
    parser.add_argument("--bfloat16", action="store_true", help="train in 16 bits, where the processor is faster so")
    parser.add_argument("--seed", type=int, default=0)
    settings = parser.parse_args()
    torch.manual_seed(settings.seed)
    torch.set_num_threads(1)
    rng = random.Random(settings.seed)
    learnt, settings.held = rows_of(rng)
    print(f"{len(learnt)} utterances of {len(moves())} moves, {len(settings.held)} held out", flush=True)
    encoder = MiniLm.from_folder(settings.encoder, dropout=0.1)
    del encoder.layers[settings.layers :]
    encoder.sizes["layers"] = len(encoder.layers)
    train(encoder, learnt, settings, rng)
    texts = [s.text for path in sorted(LISTS.glob("w*.txt")) for s in sentences(path)] + spoken()
    if settings.comments:
        texts += [s.text for s in everyday_comments(settings.comments, most=20_000)]
    assert encoder.pieces is not None
    vocabulary = encoder.pieces.vocabulary
    keep = used_pieces(encoder, texts, settings.pieces)
    encoder.cut(keep).save(settings.output_dir, [vocabulary[i] for i in keep])
    write_vectors(settings.output_dir, MiniLm.from_folder(settings.output_dir), spoken())
    print(f"saved to {settings.output_dir}")


if __name__ == "__main__":
    main()

"""Tune MiniLM whole on what `text_sentences` gives: checkpoints every few minutes, resumed by the same command.

    nice -n 15 python benchmarks/text_tuning.py --data DATA --start MINILM --out FOLDER --minutes 50

The learning rate follows the minutes of training, so that it ends at zero when they are over.
"""

import argparse
import json
import math
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from sklearn.metrics import f1_score
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoModel

from emobraid.encoders.minilm import WordPieces
from emobraid.encoders.minilm_stem import spelled
from text_sentences import EMOTIONS, Row, epoch, goemotions, meld, own
from tuning_state import resumed, store

HERE = Path(__file__).parent / "strangers"
LENGTH, BATCH, FINE = 56, 64, 28


def pruned_vocabulary(start: Path, data: Path) -> list[int]:
    """Rows of the embedding that are kept: marks, characters, BERT's frequent words, all that the corpora use."""
    words = (start / "vocab.txt").read_text(encoding="utf-8").splitlines()
    pieces = WordPieces(words)
    rows = goemotions(data / "goemotions", "train") + meld(data / "meld_text", "train")
    used = Counter(i for row in rows for i in pieces(spelled(row.text)))
    keep = []
    for number, word in enumerate(words):
        bare = word.removeprefix("##")
        mark = word in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
        if not mark and (not bare.isascii() or word.startswith("[unused")):
            continue
        frequent = number < 14_000 and not (bare.isdigit() and len(bare) > 2)
        if mark or len(bare) <= 2 or used[number] >= 2 or frequent:
            keep.append(number)
    return keep


class Reader(nn.Module):
    """MiniLM, its mean over the pieces, and two heads: the seven emotions, and GoEmotions' own labels to learn more."""

    def __init__(self, start: Path, keep: list[int]) -> None:
        super().__init__()
        self.body = AutoModel.from_pretrained(str(start), attn_implementation="sdpa")
        table = self.body.embeddings.word_embeddings.weight.data[keep].clone()
        self.body.embeddings.word_embeddings = nn.Embedding.from_pretrained(table, freeze=False, padding_idx=0)
        self.drop = nn.Dropout(0.1)
        self.seven = nn.Linear(table.shape[1], len(EMOTIONS))
        self.fine = nn.Linear(table.shape[1], FINE)

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        states = self.body(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        pooled = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)  # (B, D)
        pooled = self.drop(pooled)
        return self.seven(pooled), self.fine(pooled)


def padded(lists: list[list[int]]) -> tuple[Tensor, Tensor]:
    longest = max(map(len, lists))
    ids = torch.zeros(len(lists), longest, dtype=torch.long)
    for row, one in enumerate(lists):
        ids[row, : len(one)] = torch.tensor(one)
    return ids, (torch.arange(longest) < torch.tensor([[len(one)] for one in lists])).long()


@torch.inference_mode()
def logits_of(model: nn.Module, pieces: WordPieces, texts: list[str]) -> Tensor:
    encoded = [pieces(spelled(text)) for text in texts]
    order = sorted(range(len(texts)), key=lambda i: len(encoded[i]))
    result = torch.zeros(len(texts), len(EMOTIONS))
    model.eval()
    for begin in range(0, len(order), BATCH):
        some = order[begin : begin + BATCH]
        with torch.autocast("cpu", torch.bfloat16):
            result[some] = model(*padded([encoded[i] for i in some]))[0].float()
    model.train()
    return result


def score(logits: Tensor, rows: list[Row]) -> dict[str, float]:
    truth = [EMOTIONS.index(row.plain or "neutral") for row in rows]
    guess = logits.argmax(1).tolist()
    return {
        "accuracy": sum(a == b for a, b in zip(guess, truth, strict=True)) / len(rows),
        "macro": float(f1_score(truth, guess, average="macro")),
        "weighted": float(f1_score(truth, guess, average="weighted")),
    }


def judged(model: nn.Module, pieces: WordPieces, data: Path, some: int | None = None) -> dict[str, dict[str, float]]:
    """Scores on the sets that choices are made on; no test split is opened here."""
    sets = {"goemotions": [row for row in goemotions(data / "goemotions", "dev") if row.plain][:some]}
    sets["meld"] = meld(data / "meld_text", "dev")[:some]
    if (HERE / "dev_sentences.csv").is_file():
        sets["own"] = own(HERE / "dev_sentences.csv")
    return {name: score(logits_of(model, pieces, [r.text for r in rows]), rows) for name, rows in sets.items()}


def batches(pieces: WordPieces, data: Path, seed: int) -> list[tuple[Any, ...]]:
    """An epoch cut into batches of like length, in random order."""
    chance = random.Random(seed)
    rows = list(epoch(data, HERE / "training_sentences.csv", seed))
    encoded = [pieces(row[0]) for row in rows]
    result = []
    for begin in range(0, len(rows), BATCH * 40):
        pool = sorted(range(begin, min(begin + BATCH * 40, len(rows))), key=lambda i: len(encoded[i]))
        for first in range(0, len(pool), BATCH):
            some = pool[first : first + BATCH]
            result.append(([encoded[i] for i in some], [rows[i][1] for i in some], [rows[i][2] for i in some]))
    chance.shuffle(result)
    return result


def loss_of(model: Reader, batch: tuple[Any, ...]) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        seven, fine = model(*padded(batch[0]))
    target = torch.tensor(batch[1]) * 0.95 + 0.05 / len(EMOTIONS)
    loss = functional.cross_entropy(seven.float(), target)
    known = [i for i, one in enumerate(batch[2]) if one is not None]
    if known:
        labels = torch.zeros(len(known), FINE)
        for row, i in enumerate(known):
            labels[row, list(batch[2][i])] = 1.0
        loss = loss + 3.0 * functional.binary_cross_entropy_with_logits(fine[known].float(), labels)
    return loss


def groups(model: Reader, rate: float) -> list[dict[str, Any]]:
    """Lower layers learn more slowly; heads faster."""
    found = [{"params": [*model.seven.parameters(), *model.fine.parameters()], "peak": 10 * rate}]
    layers = [model.body.embeddings, *model.body.encoder.layer]
    for depth, layer in enumerate(reversed(layers)):
        found.append({"params": list(layer.parameters()), "peak": rate * 0.85**depth})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--start", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=50)
    parser.add_argument("--rate", type=float, default=1.2e-4)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    options.out.mkdir(parents=True, exist_ok=True)
    words = (options.start / "vocab.txt").read_text(encoding="utf-8").splitlines()
    keep = pruned_vocabulary(options.start, options.data)
    (options.out / "vocab.txt").write_text("\n".join(words[i] for i in keep) + "\n", encoding="utf-8")
    pieces = WordPieces([words[i] for i in keep], longest=LENGTH)
    model = Reader(options.start, keep)
    print(f"{len(keep)} pieces, {sum(p.numel() for p in model.parameters()) / 1e6:.1f} M parameters", flush=True)
    train(model, pieces, options)


def train(model: Reader, pieces: WordPieces, options: argparse.Namespace) -> None:
    optimizer = torch.optim.AdamW(groups(model, options.rate), lr=options.rate, weight_decay=0.01)
    average = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.998))
    last, parts = options.out / "last.pt", {"model": model, "average": average, "optimizer": optimizer}
    state = resumed(last, parts)
    budget, saved, told = options.minutes * 60, time.monotonic(), 0.0
    model.train()
    while state["seconds"] < budget:
        for batch in batches(pieces, options.data, state["epoch"]):
            begin = time.monotonic()
            progress = min(state["seconds"] / budget, 1.0)
            scale = min(state["step"] / 150, 1.0) * (1 - progress) ** 1.0
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * scale
            loss = loss_of(model, batch)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            average.update_parameters(model)
            told = loss.item() if not math.isfinite(told) or told == 0 else 0.98 * told + 0.02 * loss.item()
            state["step"] += 1
            state["seconds"] += time.monotonic() - begin
            if state["step"] % 100 == 0:
                print(
                    f"step {state['step']} epoch {state['epoch']} {state['seconds']:.0f} s loss {told:.4f}", flush=True
                )
            if time.monotonic() - saved > 240:
                store(last, parts, state)
                saved = time.monotonic()
            if state["seconds"] >= budget:
                break
        state["epoch"] += 1
        store(last, parts, state)
        print(json.dumps(judged(average.module, pieces, options.data, some=600)), flush=True)
    torch.save(average.module.state_dict(), options.out / "final.pt")
    print("final", json.dumps(judged(average.module, pieces, options.data)), flush=True)


if __name__ == "__main__":
    main()

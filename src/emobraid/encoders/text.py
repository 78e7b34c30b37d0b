"""Pretrained text encoders: DeBERTa (He et al. 2021, arXiv:2111.09543) and any other that transformers can load.

Shapes: B batch, T tokens, P prompts, D the model's width.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from emobraid.encoders import hub
from emobraid.encoders.adapters import Tuning
from emobraid.encoders.base import Utterance
from emobraid.encoders.pretrained import Precision, PretrainedEncoder, buckets, preprocessing
from emobraid.stream import Stream, pad

BUDGET = {"cpu": 1_024, "cuda": 32_768}  # tokens of a bucket
SHORTEST = 8  # tokens that must find room
ALPHABET = 26  # pieces that any vocabulary has


class PretrainedText(PretrainedEncoder):
    """The tokens of an utterance, each read in the light of what was said before (Kim & Vossen 2021, EmoBERTa,
    arXiv:2108.12009). Context goes in and is attended to; only the utterance's own tokens come out."""

    def __init__(
        self,
        name: str,
        *,
        max_length: int = 512,
        tuning: Tuning | None = None,
        precision: Precision = "auto",
        dropout: float = 0.1,
    ) -> None:
        super().__init__(name, "text", tuning, precision, dropout)
        self.dim = self.tower.config.hidden_size
        prompts = tuning.prompt_length if tuning and tuning.method == "prompt" else 0  # they take places too
        self.max_length = min(max_length, position_limit(self.tower.config) - prompts)
        if self.max_length < SHORTEST:
            raise ValueError(f"{name} has no place left for words beside {prompts} prompts; lower prompt_length")
        self.preparation = f"tokens:2:{self.tower.reading}:{self.max_length}"
        self._tokenizer: Any = None

    @property
    def tokenizer(self) -> Any:
        if self._tokenizer is None:
            from transformers import AutoTokenizer

            tokenizer = preprocessing(AutoTokenizer.from_pretrained, self.tower.folder)
            # without its vocabulary file transformers makes one that knows no word, and says nothing
            if len(tokenizer) - len(tokenizer.all_special_tokens) < ALPHABET:
                raise hub.ModelNotHere(f"{self.tower.folder} holds no vocabulary for its tokenizer; copy it again")
            self._tokenizer = tokenizer
        return self._tokenizer

    def prepare(self, raw: str | Utterance) -> Tensor:
        """(T, 2) int64: token, and whether it belongs to the utterance itself. When there are more than `max_length`,
        the oldest context goes first, then the utterance's end."""
        said = (raw if isinstance(raw, Utterance) else Utterance(raw)).written()
        if not said.text.strip():
            return self.absent()
        start, end = self._edges()
        own = self._ids(said.speaker, said.text)[: self.max_length - 2]
        room = self.max_length - len(own) - 2
        before: list[int] = []
        for speaker, text in reversed(said.context):
            turn = [*self._ids(speaker, text), end]
            if len(before) + len(turn) > room:
                break
            before = turn + before
        ids = torch.tensor([start, *before, *own, end])
        belongs = torch.ones_like(ids)
        belongs[1 : 1 + len(before)] = 0
        return torch.stack([ids, belongs], dim=1)

    def _edges(self) -> tuple[int, int]:
        t = self.tokenizer
        start = t.cls_token_id if t.cls_token_id is not None else t.bos_token_id
        end = t.sep_token_id if t.sep_token_id is not None else t.eos_token_id
        if start is None or end is None:
            raise ValueError(f"{self.tower.name}: its tokenizer marks neither start nor end; not a text encoder")
        return start, end

    def _ids(self, speaker: str, text: str) -> list[int]:
        spoken = f"{speaker}: {text}" if speaker else text
        return list(self.tokenizer(spoken, add_special_tokens=False, verbose=False)["input_ids"])

    def absent(self) -> Tensor:
        return torch.zeros(0, self.dim) if self.has_stem else torch.zeros(0, 2, dtype=torch.long)

    def stem_identity(self, device: torch.device | str = "cpu") -> str:
        return f"text:1:{self.tower.identity(device)}" if self.has_stem else ""

    @torch.no_grad()
    def stem(self, prepared: Sequence[Tensor], device: torch.device | str = "cpu") -> list[Tensor]:
        if not self.has_stem:
            return list(prepared)
        made: list[Tensor] = [torch.empty(0)] * len(prepared)
        budget = BUDGET.get(torch.device(device).type, BUDGET["cuda"])
        for bucket in buckets([len(p) for p in prepared], budget):
            stream = pad([prepared[i] for i in bucket]).to(device)
            hidden = self._read(stream).float().cpu()
            for i, row in zip(bucket, hidden, strict=True):
                made[i] = row[: len(prepared[i])][prepared[i][:, 1] == 1]
        return made

    def _read(self, stream: Stream) -> Tensor:
        """(B, T, 2) -> last hidden states (B, T, D)."""
        model = self.tower.network(stream.values.device)
        ids, mask = stream.values[..., 0], stream.mask
        prompts = getattr(model, "prompts", None)
        if prompts is None:
            hidden: Tensor = model(input_ids=ids, attention_mask=mask.long()).last_hidden_state
            return hidden
        words = prompts.before(model.get_input_embeddings()(ids))
        seen = torch.cat([mask.new_ones(len(mask), prompts.length), mask], dim=1)
        return model(inputs_embeds=words, attention_mask=seen.long()).last_hidden_state[:, prompts.length :]

    def encode(self, stream: Stream) -> Stream:
        if self.has_stem:
            return Stream(self.drop(stream.values.float()), stream.mask)
        hidden = self._read(stream).float()
        return Stream(self.drop(hidden), stream.mask & (stream.values[..., 1] == 1))


def position_limit(config: Any) -> int:
    """How many tokens a model has places for; relative positions have no limit."""
    if getattr(config, "relative_attention", False):
        return 1_000_000
    limit = int(getattr(config, "max_position_embeddings", None) or 1_000_000)
    # RoBERTa's kin count places from behind the padding token's number
    return limit - 2 if config.model_type in ("roberta", "xlm-roberta", "camembert", "longformer") else limit

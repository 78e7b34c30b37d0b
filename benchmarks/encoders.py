"""What the pretrained encoders cost at their real size, beside plain calls of `transformers` with the same weights.

    python benchmarks/encoders.py one --models DIR       # one utterance through the default trio, in every precision
    python benchmarks/encoders.py extract --models DIR   # 200 files through the cache's machinery, and one by one
    python benchmarks/encoders.py epoch --models DIR     # an epoch of `mult` on cached features of RAVDESS's size
    python benchmarks/encoders.py tune --models DIR      # a training step with each way of tuning
    ... --json FILE                                      # writes every figure there

DIR gets models with random weights, about 1.5 GB (benchmarks/full_size.py). CPU time is that of this process and of its
decoders. The contestants take turns, so that a busy machine slows all of them. --quick is to see that a part runs.
"""

import argparse
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import torch

import encoder_epoch
import encoder_extract
import encoder_one
import encoder_tune
from emobraid.encoders.pretrained import Precision
from full_size import full_size

PARTS: dict[str, Callable[..., Any]] = {
    "one": encoder_one.run,
    "extract": encoder_extract.run,
    "epoch": encoder_epoch.run,
    "tune": encoder_tune.run,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--models", type=Path, required=True, help="folder of the models, made where missing")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--quick", action="store_true", help="small inputs, one round")
    parser.add_argument("--threads", type=int, default=0, help="torch threads; default: 1, for epoch 2")
    parser.add_argument("--rounds", type=int, default=5, help="of `one`: how often each contestant runs; of `epoch`")
    parser.add_argument("--mixed_precision", choices=("no", "bf16"), default="no", help="of `epoch`")
    parser.add_argument("--media", type=Path, help="`extract`: a folder of clips instead of the sample corpus")
    parser.add_argument("--files", type=int, default=200, help="`extract`: how many")
    parser.add_argument("--frames", type=int, default=30, help="`extract`: faces read from a video, at most")
    parser.add_argument("--precision", choices=get_args(Precision), default="auto", help="`extract`: of our encoders")
    args = parser.parse_args()
    torch.set_num_threads(args.threads or (2 if args.part == "epoch" else 1))
    logging.getLogger("transformers").setLevel(logging.ERROR)
    made = PARTS[args.part](full_size(args.models.resolve()), args)
    if args.json:
        args.json.write_text(json.dumps(made, indent=1))


if __name__ == "__main__":
    main()

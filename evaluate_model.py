"""python evaluate_model.py --model_path checkpoints/best_model.pth --output_dir results/: `emobraid evaluate`."""

import sys

import _source  # noqa: F401  # this clone's code, installed or not

from emobraid.cli import main

if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]]))

"""python demo/gradio_demo.py --model_path checkpoints/best_model.pth --port 7860: the same as `emobraid demo`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import _source  # noqa: F401  # this clone's code, installed or not

from emobraid.cli import main

if __name__ == "__main__":
    sys.exit(main(["demo", *sys.argv[1:]]))

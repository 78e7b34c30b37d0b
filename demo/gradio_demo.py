"""python demo/gradio_demo.py --model_path checkpoints/best_model.pth --port 7860: the same as `emobraid demo`."""

import sys

from emobraid.cli import main

if __name__ == "__main__":
    sys.exit(main(["demo", *sys.argv[1:]]))

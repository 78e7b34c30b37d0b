"""python train_advanced.py --mode standard --fusion_type hierarchical: the same as `emobraid train`."""

import sys

import _source  # noqa: F401  # this clone's code, installed or not

from emobraid.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))

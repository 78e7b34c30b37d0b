"""`python -m emobraid.cli` is the `emobraid` command."""

import sys

from emobraid.cli import main

if __name__ == "__main__":
    sys.exit(main())

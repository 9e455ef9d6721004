"""``python -m callengine``."""

import sys

from callengine.cli.main import main

if __name__ == "__main__":
    sys.exit(main())

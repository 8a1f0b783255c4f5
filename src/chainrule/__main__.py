"""``python -m chainrule`` is the command line."""

import sys

from chainrule_command import main

if __name__ == "__main__":
    sys.exit(main())

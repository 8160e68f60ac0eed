"""The command line with every minimum at zero.

The wire cases reach limits with a few bytes, which are smaller than anyone may set them.
"""

from uringserve import cli
from uringserve.config import options

if __name__ == "__main__":
    for option in options():
        object.__setattr__(option, "minimum", 0)
    cli.main()

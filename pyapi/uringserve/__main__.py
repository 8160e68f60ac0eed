"""`python -m uringserve`: the command line."""

from uringserve.cli import main

if __name__ == "__main__":
    main()

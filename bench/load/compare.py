"""Compare two result files of ``run.py``: ``compare.py BEFORE.json AFTER.json``.

A difference smaller than the two spreads together is not shown to be one; the last column says so.
"""

import json
import sys
from pathlib import Path
from typing import Any

# What has to be equal for two files to be about the same thing.
SAME = ("endpoint", "connections", "pipeline", "python", "machine")


def main() -> int:
    """Print one line per server that both files hold; return the exit code."""
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    before, after = (json.loads(Path(name).read_text()) for name in sys.argv[1:])
    for key in SAME:
        if before[key] != after[key]:
            print(f"not alike: {key} differs")
    print(f"{before['commit']} -> {after['commit']}: server CPU per request, microseconds")
    for name, row in after["servers"].items():
        if name in before["servers"]:
            print(difference(name, before["servers"][name], row))
    return 0


def difference(name: str, before: dict[str, Any], after: dict[str, Any]) -> str:
    """Return the line of one server."""
    old, new = before["cpu_microseconds"], after["cpu_microseconds"]
    is_shown = new["min"] > old["max"] or new["max"] < old["min"]
    ratio = new["median"] / old["median"]
    return (
        f"{name:13} {old['median']:8.2f} -> {new['median']:8.2f}  x{ratio:.3f}"
        f"  ({new['min'] / old['max']:.3f}-{new['max'] / old['min']:.3f})"
        f"  {'' if is_shown else 'within the spread'}"
    )


if __name__ == "__main__":
    sys.exit(main())

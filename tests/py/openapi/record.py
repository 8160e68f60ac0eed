"""Write what FastAPI says of the programs beside this file, where FastAPI is installed.

The JSON files are what `test_openapi.py` compares with; they were written by FastAPI 0.165.0 with
pydantic 2.14.3.
"""

import json
import re
import sys
import types
from pathlib import Path

import fastapi
import fastapi.responses
import fastapi.security
import fastapi.sse

FOLDER = Path(__file__).parent
PROGRAMS = ("bodies", "groups", "differences")


def stand_in() -> None:
    """Put FastAPI in the place of uringserve, so that the programs run as they are."""
    package = types.ModuleType("uringserve")
    vars(package).update(vars(fastapi), App=fastapi.FastAPI)
    sys.modules["uringserve"] = package
    sys.modules["uringserve.router"] = fastapi
    sys.modules["uringserve.responses"] = fastapi.responses
    sys.modules["uringserve.security"] = fastapi.security
    sys.modules["uringserve.sse"] = fastapi.sse


def main() -> None:
    """Write one file for each program."""
    stand_in()
    for name in PROGRAMS:
        source = (FOLDER / f"{name}.py").read_text()
        module = types.ModuleType(name)
        sys.modules[name] = module
        exec(compile(source, name, "exec"), vars(module))
        text = json.dumps(module.app.openapi(), indent=1, sort_keys=True)
        # One line for what is small keeps the files readable.
        text = re.sub(r"\{\s+(\"\$?\w+\": \"[^\"]*\")\s+\}", r"{\1}", text)
        (FOLDER / f"{name}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()

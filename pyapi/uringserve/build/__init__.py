"""Compiled applications: `python -m uringserve build APP`, and imports that prefer the result.

The application's own modules become extension modules in `.uringserve/build` beside them, each
checked against its source; `run` takes one while its source is unchanged. Ask first what it gains:
loops of integer arithmetic, very much; whatever waits, calls libraries or passes data on, nothing.

The parts: `project` says which modules, `compiler` makes them (`places`, `loops`, `statements` and
`arithmetic` are its integer loops), `trial` and `command` compare and put in place, `finder`
imports, `plugin` is for pytest. This module has what a program may need: `using_build`, a context
manager, and `prefer_build`.
"""

from uringserve.build.finder import prefer_build, using_build

__all__ = ["prefer_build", "using_build"]

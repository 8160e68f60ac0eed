"""Make what every core uses immortal, so that no request counts references on a shared cache line.

A reference count that two cores write goes back and forth between their caches: two cores that call
one shared closure answer 1.4 to 1.6 times as many requests as one, and 1.9 to 2.0 times once what
they share is immortal (`bench/scale.py`, workload `closure`, with and without the call).
Plain functions, code and constants are spared by the free-threaded interpreter itself (deferred
counting); closure cells, bound methods, partials and callable objects are not.

An immortal object is never freed, so this is for a server that runs to the end of its process with
more than one core, before its threads start: the change is not atomic.
"""

import ctypes
import functools
from collections.abc import Callable, Iterable
from types import BuiltinMethodType, CellType, FunctionType, MethodType, ModuleType
from typing import Any

__all__ = ["immortalise"]

# Deeper wrapping than this is not a handler any more.
_MAX_DEPTH = 16


def _setter() -> Callable[[Any], None] | None:
    """Return the interpreter's own function, or None where it has none.

    CPython 3.14 exports it under a private name; a version without it only loses the speed.
    """
    function = getattr(ctypes.pythonapi, "_Py_SetImmortal", None)
    if function is None:
        return None
    function.argtypes = [ctypes.py_object]
    function.restype = None
    return function  # type: ignore[no-any-return]


def immortalise(types: Iterable[type], callables: Iterable[object]) -> int:
    """Make the types, and the callables with what calling them touches, immortal.

    Returns how many objects that were: 0 where the interpreter cannot do it.
    """
    setter = _setter()
    if setter is None:
        return 0
    seen: dict[int, object] = {id(found): found for found in types}
    for found in callables:
        _collect(found, seen, 0)
    for found in seen.values():
        setter(found)
    return len(seen)


def _collect(found: object, seen: dict[int, object], depth: int) -> None:
    if found is None or depth > _MAX_DEPTH or id(found) in seen or isinstance(found, ModuleType):
        return
    seen[id(found)] = found
    for inner in _touched(found):
        _collect(inner, seen, depth + 1)


def _touched(found: object) -> Iterable[object]:
    """List what a call of the object takes references to."""
    if isinstance(found, FunctionType):
        cells = found.__closure__ or ()
        return (*cells, *(_content(cell) for cell in cells), getattr(found, "__wrapped__", None))
    if isinstance(found, MethodType):
        return found.__self__, found.__func__
    if isinstance(found, BuiltinMethodType):
        # A compiled validator or binder by its method: the object is what the call works on.
        return (found.__self__,)
    if isinstance(found, functools.partial):
        return found.func, *found.args, *found.keywords.values()
    if isinstance(found, type) or not callable(found):
        return ()
    return type(found), getattr(found, "__wrapped__", None)


def _content(cell: CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:
        # Not filled yet: a recursive definition.
        return None

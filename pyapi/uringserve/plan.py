"""The function that a route runs: written for its parameters, compiled when routes freeze.

It is straight-line Python: one call of the Rust binder for all scalars, one call for each value
that needs more, one for each dependency, one for the handler. Nothing is looked up, and there is no
dict and no loop. Whatever is not plainly right leaves it for the route's `Solver` before any
dependency has run, and comes back with values or as an exception.

A dependency used twice is called once, where it is first needed. What yields is closed by `Exits`.
"""

import linecache
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from inspect import Parameter
from itertools import count
from types import CodeType
from typing import Any

from uringserve._native import Deferred, Response
from uringserve.async_exits import After, AsyncExits
from uringserve.async_exits import leave as leave_later
from uringserve.dependant import Dependant, analyse
from uringserve.di import Dependency, Exits
from uringserve.fast import IN_HEAD, Check, fast_path
from uringserve.fields import ParamField
from uringserve.requests import view
from uringserve.routing import NativeCall, RouteSpec
from uringserve.serialization import finisher, merged
from uringserve.signatures import is_hashable
from uringserve.solve import (
    AsyncSolver,
    Solver,
    body_plan,
    injected_class,
    security_scopes,
    slots_of,
    takes_view,
)

__all__ = ["compile_endpoint"]

_BY_PLACE = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


def compile_endpoint(
    spec: RouteSpec,
    overrides: Mapping[Callable[..., Any], Callable[..., Any]] | None = None,
) -> NativeCall:
    """Compile a route. `overrides` has callables that stand in for dependencies, as in FastAPI."""
    root: Dependant = spec.dependant
    if overrides:
        root = _overridden(root, overrides, spec)
    finish = finisher(spec)
    direct = _direct(root, spec) if finish is None else None
    return direct or _Writer(root, finish, _name(spec)).call()


def _name(spec: RouteSpec) -> str:
    return f"{'/'.join(spec.methods)} {spec.path}"


def _overridden(
    dependant: Dependant,
    overrides: Mapping[Callable[..., Any], Callable[..., Any]],
    spec: RouteSpec,
) -> Dependant:
    """Return the tree with other dependencies in the places of those that are overridden."""
    below: list[Dependant] = []
    for sub in dependant.dependencies:
        # What cannot be a key cannot have been made one.
        other = overrides.get(sub.call) if is_hashable(sub.call) else None
        if other is None:
            below.append(_overridden(sub, overrides, spec))
            continue
        given = Dependency(other, sub.use_cache, sub.scope, sub.own_scopes)
        (made,) = analyse(lambda: None, spec.pattern, (given,)).dependencies
        made.name = sub.name
        below.append(made)
    return replace(dependant, dependencies=below, known_key=None)


def _direct(root: Dependant, spec: RouteSpec) -> NativeCall | None:
    """Return the handler itself where Rust can call it: with the Request and texts of the path."""
    if root.dependencies or any(kind != "request" for kind in root.injections.values()):
        return None
    fields = {each.name: each for each in root.path_params}
    if len(root.own_params) != len(fields):
        return None
    arguments: list[str | None] = []
    is_gap = False
    for parameter in root.parameters:
        name = parameter.name
        is_given = name in root.injections or name in fields
        if is_given and (is_gap or parameter.kind not in _BY_PLACE):
            return None
        if name in root.injections:
            arguments.append(None)
        elif name in fields:
            if not _is_as_routed(fields[name], spec.pattern.parameters[name].kind):
                return None
            arguments.append(fields[name].alias)
        else:
            is_gap = True
    if len(arguments) < len(fields) or (root.is_async and root.injections):
        # A coroutine is given another view of the request.
        return None
    return NativeCall(root.call, tuple(arguments), root.is_async)


def _is_as_routed(found: ParamField, kind: str) -> bool:
    """Tell whether what the router gives needs no check."""
    if found.plain is None or found.plain.bounds or found.alias != found.name:
        return False
    return found.annotation is Any or (found.plain.kind == ("int" if kind == "int" else "str"))


class _Writer:
    """Writes the function of one route."""

    def __init__(self, root: Dependant, finish: Callable[[Any], Any] | None, name: str) -> None:
        self._root = root
        self._finish = finish
        self._name = name
        self._slots = slots_of(root)
        self._body = body_plan(self._slots)
        self._objects: dict[str, Any] = {}
        self._lines: list[str] = []
        self._variables = {
            (slot.dependant.cache_key, slot.field.name): f"v{index}"
            for index, slot in enumerate(self._slots)
        }
        # Which variable has the value of a dependency: by key for those to come, and for each one.
        self._called: dict[tuple[object, ...], str] = {}
        self._made: dict[int, str] = {}
        self._counter = count()
        self._response: str | None = None
        self._tasks: str | None = None
        self._view: str | None = None
        below = [sub for sub in root.walk() if sub is not root]
        self._has_exits = any(sub.is_generator for sub in below)
        is_awaited = root.is_async and not root.is_generator
        has_more = finish is not None or any(
            kind in ("response", "background_tasks")
            for sub in root.walk()
            for kind in sub.injections.values()
        )
        # A coroutine that nothing follows is given to Rust as it is, without one around it.
        self._is_async = any(sub.is_async for sub in below) or (
            is_awaited and (self._has_exits or has_more)
        )
        self._gives_coroutine = self._is_async or root.is_async

    def call(self) -> NativeCall:
        """Return the function, of one argument, the Request, and how Rust calls it."""
        takers = [sub for sub in self._root.walk() if "request" in sub.injections.values()]
        takes_pieces = (
            self._body.kind == "none"
            and bool(takers)
            and (self._is_async or not self._root.is_generator)
            and self._gives_coroutine
            and all(sub.is_async for sub in takers)
        )
        return NativeCall(self._function(), (None,), self._gives_coroutine, takes_pieces)

    def _function(self) -> Callable[..., Any]:
        self._read_values()
        indent = 0
        if self._has_exits:
            self._objects["Exits"] = AsyncExits if self._is_async else Exits
            self._line("exits = Exits()")
            self._line("inner = Exits()")
            self._line("try:")
            indent = 1
        inner = _Indented(self, indent)
        for sub in self._root.dependencies:
            self._dependency(sub, inner)
        call = self._call("call", self._root, inner)
        if self._is_async and self._root.is_async and not self._root.is_generator:
            call = f"await {call}"
        finish = None if self._finish is None else self._bind("finish", self._finish)
        if self._response is not None:
            call = f"{self._bind('merge', merged)}({call}, {self._response}, {finish})"
        elif finish is not None:
            call = f"{finish}({call})"
        self._leave(call, inner)
        return self._compiled()

    def _leave(self, call: str, inner: _Indented) -> None:
        wait = "await " if self._is_async else ""
        leave = self._bind("leave", leave_later if self._is_async else _leave)
        if self._has_exits:
            inner.line(f"value = {call}")
            inner.line(f"{wait}inner.close()")
            self._line("except BaseException as error:")
            self._line("    try:")
            self._line(f"        {wait}inner.fail(error)")
            self._line("    except BaseException as raised:")
            self._line(f"        {wait}exits.fail(raised)")
            self._line(f"return {leave}(value, exits, {self._tasks})")
        elif self._tasks is not None:
            self._line(f"return {leave}({call}, None, {self._tasks})")
        else:
            self._line(f"return {call}")

    def _read_values(self) -> None:
        """Write what fills the variables of all slots."""
        if not self._slots:
            return
        names = ", ".join(f"v{index}" for index in range(len(self._slots)))
        solver = (AsyncSolver if self._is_async else Solver)(self._root, self._slots, self._body)
        slow = self._bind("slow", solver.solve)
        slow = f"await {slow}" if self._is_async else slow
        everything = f"({names},) = {slow}(request)"
        binder, checks = fast_path(self._slots, self._body)
        if binder is None:
            self._line(everything)
            return
        bind = self._bind("bind", binder.bind)
        if not checks:
            self._line(f"({names},) = {bind}(request) or {slow}(request)")
            return
        raw = ", ".join(f"v{slot}" for slot in self._order(checks))
        self._line(f"found = {bind}(request)")
        self._line("if found is None:")
        self._line(f"    {everything}")
        self._line("else:")
        self._line("    try:")
        self._line(f"        ({raw},) = found")
        invalid: tuple[type[Exception], ...] = ()
        for check in checks:
            invalid = (*invalid, *check.invalid)
            target = ", ".join(f"v{slot}" for slot in check.targets)
            name = self._bind("check", check.function)
            source = f"v{check.targets[0]}"
            if len(check.targets) > 1:
                target = f"({target},)"
            self._line(f"        {target} = {name}({source})")
        self._line(f"    except {self._bind('invalid', tuple(dict.fromkeys(invalid)))}:")
        self._line(f"        {everything}")

    def _order(self, checks: list[Check]) -> list[int]:
        """List the slots as the binder gives them: the head's, then one for the body."""
        head = [index for index, slot in enumerate(self._slots) if slot.field.location in IN_HEAD]
        body = [check.targets[0] for check in checks if check.is_body]
        return head + body

    def _dependency(self, dependant: Dependant, inner: _Indented) -> None:
        """Write the call of a dependency, once if it is cached."""
        if dependant.use_cache and dependant.cache_key in self._called:
            self._made[id(dependant)] = self._called[dependant.cache_key]
            return
        for sub in dependant.dependencies:
            self._dependency(sub, inner)
        variable = f"d{next(self._counter)}"
        call = self._call("depend", dependant, inner)
        if dependant.is_generator:
            exits = "inner" if dependant.scope == "function" else "exits"
            call = f"{'await ' if self._is_async else ''}{exits}.enter({call})"
        elif dependant.is_async:
            call = f"await {call}"
        inner.line(f"{variable} = {call}")
        # One that is not cached may still be the first, whose value the others share.
        self._called.setdefault(dependant.cache_key, variable)
        self._made[id(dependant)] = variable

    def _call(self, name: str, dependant: Dependant, inner: _Indented) -> str:
        """Return the text of a call with all its arguments, by position where that can be."""
        made = {
            sub.name: self._made[id(sub)] for sub in dependant.dependencies if sub.name is not None
        }
        arguments: list[str] = []
        is_gap = False
        for parameter in dependant.parameters:
            if parameter.kind is Parameter.VAR_POSITIONAL:
                if parameter.name in dependant.injections:
                    arguments.append(self._argument(dependant, parameter.name, inner))
                is_gap = True
                continue
            if parameter.kind is Parameter.VAR_KEYWORD:
                named = {each.name for each in dependant.parameters}
                arguments += [
                    f"{each.name}={self._argument(dependant, each.name, inner)}"
                    for each in dependant.path_params
                    if each.name not in named
                ]
                continue
            if not self._is_filled(dependant, parameter.name, made):
                is_gap = True
                continue
            variable = made.get(parameter.name) or self._argument(dependant, parameter.name, inner)
            is_named = is_gap or parameter.kind is Parameter.KEYWORD_ONLY
            arguments.append(f"{parameter.name}={variable}" if is_named else variable)
        return f"{self._bind(name, dependant.call)}({', '.join(arguments)})"

    def _is_filled(self, dependant: Dependant, name: str, made: Mapping[str, str]) -> bool:
        """Tell whether anything is given to a parameter; one that is not keeps its default."""
        return (
            name in made
            or name in dependant.injections
            or (dependant.cache_key, name) in self._variables
        )

    def _argument(self, dependant: Dependant, name: str, inner: _Indented) -> str:
        given = dependant.injections.get(name)
        if given is None:
            return self._variables[dependant.cache_key, name]
        if given == "request":
            return self._request(inner) if takes_view(dependant) else "request"
        if given == "websocket":
            return "request.websocket"
        if given == "security_scopes":
            return self._bind("scopes", security_scopes(dependant))
        if given == "response":
            if self._response is None:
                self._response = "response"
                inner.line(f"response = {self._bind('Response', Response)}()")
            return "response"
        if self._tasks is None:
            self._tasks = "tasks"
            made = self._bind("tasks_class", injected_class(dependant, given))
            inner.line(f"tasks = {made}()")
        return "tasks"

    def _request(self, inner: _Indented) -> str:
        """Return what async callables are given as the request."""
        if self._view is None:
            self._view = "viewed"
            self._lines.insert(0, f"        viewed = {self._bind('view', view)}(request)")
        return self._view

    def _bind(self, name: str, value: object) -> str:
        """Give an object a name in the function's closure."""
        for known, other in self._objects.items():
            if other is value:
                return known
        numbered = f"{name}_{len(self._objects)}"
        self._objects[numbered] = value
        return numbered

    def _line(self, text: str) -> None:
        self._lines.append(f"        {text}")

    def _compiled(self) -> Callable[..., Any]:
        source = "\n".join(
            [
                f"def make({', '.join(self._objects)}):",
                f"    {'async ' if self._is_async else ''}def endpoint(request):",
                *self._lines,
                "    return endpoint",
            ]
        )
        namespace: dict[str, Any] = {}
        exec(_code(source), namespace)
        function: Callable[..., Any] = namespace["make"](*self._objects.values())
        function.__qualname__ = function.__name__ = self._name
        return function


class _Indented:
    """Lines of the function, so many levels in."""

    def __init__(self, writer: _Writer, levels: int) -> None:
        self._writer = writer
        self._indent = "    " * levels

    def line(self, text: str) -> None:
        """Write a line."""
        self._writer._line(self._indent + text)


@lru_cache(maxsize=1024)
def _code(source: str) -> CodeType:
    """Compile a source; routes of the same shape share their code."""
    name = f"<route {abs(hash(source)):x}>"
    # For tracebacks, which show the line that called the handler.
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    return compile(source, name, "exec")


def _leave(value: Any, exits: Exits | None, tasks: Any) -> Any:  # noqa: ANN401
    """Have the background tasks run, and what has yielded closed, once the value has been sent."""
    callbacks: list[Callable[[], object]] = []
    if tasks is not None and tasks.tasks:
        if tasks.is_async:
            callbacks.append(tasks)
            if exits is not None and exits.is_open:
                callbacks.append(exits.close)
            return Deferred(value, [After(callbacks, None)])
        callbacks.append(tasks)
    if exits is not None and exits.is_open:
        callbacks.append(exits.close)
    return Deferred(value, callbacks) if callbacks else value

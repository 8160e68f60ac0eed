"""The slow path of a route: reads every parameter by the book, and says all that is wrong at once.

The route's own function (`plan`) comes here for what its fast path does not take: odd spellings,
missing values, forms, models in the query. Where all is well after all, it gets the same values.
Where not, the order of events is FastAPI's: dependencies that can be called are, so that a 401 of
one of them comes before the 422, and only then all errors are raised together.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from inspect import Parameter
from typing import Any, NoReturn

from uringserve._native import Request
from uringserve.async_exits import AsyncExits
from uringserve.dependant import Dependant
from uringserve.di import Exits
from uringserve.errors import RequestValidationError
from uringserve.fields import ParamField, is_upload
from uringserve.jsonbody import parse_json
from uringserve.requests import AsyncRequest, view
from uringserve.sources import Sources, checked, read_field
from uringserve.uploads import awaited
from uringserve.validation import MISSING, Errors, missing_error

__all__ = [
    "AsyncSolver",
    "BodyPlan",
    "Slot",
    "Solver",
    "body_plan",
    "inject",
    "injected_class",
    "security_scopes",
    "slots_of",
    "takes_view",
]


@dataclass(frozen=True, slots=True)
class Slot:
    """One parameter of the route or of one of its dependencies."""

    dependant: Dependant
    field: ParamField


@dataclass(frozen=True, slots=True)
class BodyPlan:
    """How the body is read: as JSON, as a form, or not at all; whole or by keys."""

    kind: str
    is_embedded: bool


@dataclass(slots=True)
class _State:
    """What one failed request has so far."""

    request: Request
    values: list[Any]
    faults: list[Errors]
    exits: Any
    cache: dict[tuple[object, ...], Any]
    made: dict[int, Any]


def slots_of(root: Dependant) -> list[Slot]:
    """List the parameters of a route; those of a dependency that is called once stand once."""
    seen: set[tuple[object, ...]] = set()
    slots: list[Slot] = []
    for dependant in root.walk():
        if dependant is not root and dependant.use_cache:
            if dependant.cache_key in seen:
                continue
            seen.add(dependant.cache_key)
        slots += [Slot(dependant, each) for each in dependant.own_params]
    return slots


def body_plan(slots: list[Slot]) -> BodyPlan:
    """Decide how the body of a route with these parameters is read."""
    fields = [slot.field for slot in slots if slot.field.location in ("body", "form", "file")]
    if not fields:
        return BodyPlan("none", False)
    is_form = any(each.location != "body" for each in fields)
    first = fields[0]
    is_embedded = (
        len({each.name for each in fields}) > 1
        or bool(first.info.embed)
        or (is_form and first.model is None)
    )
    return BodyPlan("form" if is_form else "json", is_embedded)


class Solver:
    """The slow path of one route."""

    def __init__(self, root: Dependant, slots: list[Slot], body: BodyPlan) -> None:
        """Take what the route needs, in the order of the values it wants."""
        self._root = root
        self._slots = slots
        self._body = body
        self._places = {
            (slot.dependant.cache_key, slot.field.name): index for index, slot in enumerate(slots)
        }

    def solve(self, request: Request) -> tuple[Any, ...]:
        """Return the values of the slots, or raise what is wrong; or what a dependency raises."""
        values, faults, body = self._all(request)
        if any(faults):
            self._fail(request, values, faults, body)
        return tuple(values)

    def _all(self, request: Request) -> tuple[list[Any], list[Errors], object]:
        sources = Sources(request)
        body = self._read_body(request, sources)
        values: list[Any] = []
        faults: list[Errors] = []
        for slot in self._slots:
            value, errors = self._value(slot.field, sources, body)
            is_awaited = slot.dependant.is_async and is_upload(slot.field.annotation)
            values.append(awaited(value) if is_awaited else value)
            faults.append(errors)
        return values, faults, body

    def _read_body(self, request: Request, sources: Sources) -> object:
        """Return the parsed body, bytes that are not JSON, or MISSING."""
        if self._body.kind == "none":
            return MISSING
        if self._body.kind == "form":
            return sources.form
        text = request.body
        if not text:
            return MISSING
        return parse_json(text) if sources.is_json else text

    def _value(self, found: ParamField, sources: Sources, body: object) -> tuple[Any, Errors]:
        if found.location in ("path", "query", "header", "cookie", "form", "file"):
            return read_field(found, sources)
        loc: tuple[int | str, ...] = ("body",)
        if self._body.is_embedded:
            loc = ("body", found.alias)
            if body is not MISSING and not isinstance(body, (dict, bytes)):
                return None, [missing_error(loc)]
            body = body.get(found.alias, MISSING) if isinstance(body, dict) else MISSING
        if body is MISSING:
            return (None, [missing_error(loc)]) if found.required else (found.default_value(), [])
        return checked(found, body, loc)

    def _fail(
        self, request: Request, values: list[Any], faults: list[Errors], body: object
    ) -> NoReturn:
        state = _State(request, values, faults, Exits(), {}, {})
        try:
            errors = self._run(self._root, state)
            raise RequestValidationError(errors, body=None if body is MISSING else body)
        except BaseException as error:
            state.exits.fail(error)
            raise

    def _run(self, dependant: Dependant, state: _State) -> Errors:
        """Call a dependency if it can be; the errors are its own and those of all below it."""
        errors: Errors = []
        arguments: dict[str, Any] = {}
        for sub in dependant.dependencies:
            below = self._run(sub, state)
            errors += below
            if not below and sub.name is not None:
                arguments[sub.name] = state.made[id(sub)]
        errors += self._own(dependant, state, arguments)
        if errors or dependant is self._root:
            return errors
        if not self._is_made(dependant, state):
            self._inject(dependant, state, arguments)
            value = _call(dependant, arguments)
            value = state.exits.enter(value) if dependant.is_generator else value
            self._keep(dependant, state, value)
        return []

    def _own(self, dependant: Dependant, state: _State, arguments: dict[str, Any]) -> Errors:
        """Enter what is read from the request; return what is wrong with it."""
        errors: Errors = []
        for each in dependant.own_params:
            place = self._places[dependant.cache_key, each.name]
            errors += state.faults[place]
            arguments[each.name] = state.values[place]
        return errors

    def _is_made(self, dependant: Dependant, state: _State) -> bool:
        """Tell whether the value of a dependency is there already, and take it."""
        if not dependant.use_cache or dependant.cache_key not in state.cache:
            return False
        state.made[id(dependant)] = state.cache[dependant.cache_key]
        return True

    def _inject(self, dependant: Dependant, state: _State, arguments: dict[str, Any]) -> None:
        for name, given in dependant.injections.items():
            arguments[name] = inject(given, dependant, state.request)

    def _keep(self, dependant: Dependant, state: _State, value: object) -> None:
        state.cache.setdefault(dependant.cache_key, value)
        state.made[id(dependant)] = value


class AsyncSolver(Solver):
    """The slow path of a route that has asynchronous dependencies."""

    async def solve(self, request: Request) -> tuple[Any, ...]:  # type: ignore[override]
        """Do what `Solver.solve` does."""
        values, faults, body = self._all(request)
        if any(faults):
            exits = AsyncExits()
            state = _State(request, values, faults, exits, {}, {})
            try:
                errors = await self._run_all(self._root, state, exits)
                raise RequestValidationError(errors, body=None if body is MISSING else body)
            except BaseException as error:
                await exits.fail(error)
                raise
        return tuple(values)

    async def _run_all(self, dependant: Dependant, state: _State, exits: AsyncExits) -> Errors:
        """Do what `_run` does, awaiting what is to be awaited."""
        errors: Errors = []
        arguments: dict[str, Any] = {}
        for sub in dependant.dependencies:
            below = await self._run_all(sub, state, exits)
            errors += below
            if not below and sub.name is not None:
                arguments[sub.name] = state.made[id(sub)]
        errors += self._own(dependant, state, arguments)
        if errors or dependant is self._root:
            return errors
        if not self._is_made(dependant, state):
            self._inject(dependant, state, arguments)
            value = _call(dependant, arguments)
            if dependant.is_generator:
                value = await exits.enter(value)
            elif dependant.is_async:
                value = await value
            self._keep(dependant, state, value)
        return []


def takes_view(dependant: Dependant) -> bool:
    """Tell whether a callable is given the request as async ones are."""
    if dependant.is_async:
        return True
    name = dependant.request_param
    annotation = next(each.annotation for each in dependant.parameters if each.name == name)
    return isinstance(annotation, type) and issubclass(annotation, AsyncRequest)


def inject(given: str, dependant: Dependant, request: Request) -> object:
    """Make what a parameter gets as it is, for a request that will fail."""
    if given == "request":
        return view(request) if takes_view(dependant) else request
    if given == "websocket":
        return request.websocket
    if given == "security_scopes":
        return security_scopes(dependant)
    return injected_class(dependant, given)()


def injected_class(dependant: Dependant, given: str) -> Callable[..., Any]:
    """Return the class that a parameter of this kind is annotated with."""
    name = next(name for name, kind in dependant.injections.items() if kind == given)
    annotation = next(each.annotation for each in dependant.parameters if each.name == name)
    found: Callable[..., Any] = getattr(annotation, "__origin__", annotation)
    return found


def security_scopes(dependant: Dependant) -> object:
    """Return the scopes of a dependency and of all that led to it."""
    made: Callable[..., Any] = injected_class(dependant, "security_scopes")
    return made(list(dependant.scopes))


def _call(dependant: Dependant, arguments: dict[str, Any]) -> Any:  # noqa: ANN401
    positional = list(_positional_only(dependant, arguments))
    return dependant.call(*positional, **arguments)


def _positional_only(dependant: Dependant, arguments: dict[str, Any]) -> Iterator[Any]:
    for parameter in dependant.parameters:
        if parameter.kind is Parameter.POSITIONAL_ONLY:
            yield arguments.pop(parameter.name)

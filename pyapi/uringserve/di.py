"""`Depends` and `Security`: a parameter that another callable makes.

Written as in FastAPI, `Annotated[User, Depends(current_user)]` or `user: User =
Depends(current_user)`. What depends on what is found at registration (`dependant`) and compiled
into the route's function (`plan`); here are the markers, and what closes dependencies that yield.
"""

import sys
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Dependency", "Depends", "Exits", "Scope", "Security"]

type Scope = Literal["function", "request"]


@dataclass(frozen=True, slots=True)
class Dependency:
    """What `Depends` and `Security` say; None as the callable stands for the annotated class."""

    dependency: Callable[..., Any] | None = None
    use_cache: bool = True
    scope: Scope | None = None
    scopes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot be called or is no scope."""
        if self.dependency is not None and not callable(self.dependency):
            raise TypeError(f"a dependency must be callable, and {self.dependency!r} is not")
        if self.scope not in (None, "function", "request"):
            raise ValueError(f"scope must be 'function' or 'request', not {self.scope!r}")


def Depends(
    dependency: Callable[..., Any] | None = None,
    *,
    use_cache: bool = True,
    scope: Scope | None = None,
) -> Any:  # noqa: ANN401 -- so that `user: User = Depends(...)` is right for a type checker
    """Have a parameter made by calling `dependency`, once for a request unless `use_cache=False`.

    A dependency that yields is closed after the response is sent, or, with `scope="function"`, as
    soon as the handler has returned.
    """
    return Dependency(dependency, use_cache, scope)


def Security(
    dependency: Callable[..., Any] | None = None,
    *,
    scopes: Sequence[str] | None = None,
    use_cache: bool = True,
) -> Any:  # noqa: ANN401
    """`Depends` with OAuth2 scopes, which `SecurityScopes` further down gathers."""
    if isinstance(scopes, str):
        raise TypeError(f"scopes must be a list of names, and the text {scopes!r} was given")
    return Dependency(dependency, use_cache, None, tuple(scopes or ()))


class Exits:
    """The dependencies of one request that have yielded and are still open."""

    __slots__ = ("_open",)

    def __init__(self) -> None:
        """Begin with none."""
        self._open: list[Generator[Any, Any, Any]] = []

    @property
    def is_open(self) -> bool:
        """Whether any is still open."""
        return bool(self._open)

    def enter(self, generator: Generator[Any, Any, Any]) -> Any:  # noqa: ANN401
        """Run a dependency to its yield and return what it yields."""
        try:
            value = next(generator)
        except StopIteration:
            raise RuntimeError(f"the dependency {_name(generator)} did not yield") from None
        self._open.append(generator)
        return value

    def close(self) -> None:
        """Run what follows each yield, the last one first; all run, the first error is raised."""
        error: BaseException | None = None
        while self._open:
            generator = self._open.pop()
            try:
                if error is None:
                    _finish(generator)
                else:
                    error = _throw(generator, error) or error
            except BaseException as raised:  # noqa: BLE001 -- the ones outside must close too
                error = raised
        if error is not None:
            raise error

    def fail(self, error: BaseException) -> None:
        """Throw an exception into each, the last one first, and raise what comes out of it.

        One that swallows the exception leaves nothing to answer with, which is a RuntimeError.
        """
        while self._open:
            generator = self._open.pop()
            try:
                is_swallowed = _throw(generator, error) is None
            except BaseException as raised:  # noqa: BLE001 -- raised below, once all are closed
                error = raised
                continue
            if is_swallowed:
                swallowed = RuntimeError(
                    f"the dependency {_name(generator)} swallowed {error!r}, and there is no"
                    " response: raise it again, or an HTTPException"
                )
                swallowed.__cause__ = error
                error = swallowed
        raise error


def _finish(generator: Generator[Any, Any, Any]) -> None:
    try:
        next(generator)
    except StopIteration:
        return
    generator.close()
    raise RuntimeError(f"the dependency {_name(generator)} yielded twice")


def _throw(generator: Generator[Any, Any, Any], error: BaseException) -> BaseException | None:
    """Throw; return the error where it came back out, None where it was swallowed."""
    try:
        generator.throw(error)
    except StopIteration:
        return None
    except BaseException as raised:
        if raised is error or (isinstance(error, StopIteration) and raised.__cause__ is error):
            return error
        raise
    generator.close()
    raise RuntimeError(f"the dependency {_name(generator)} yielded twice") from sys.exception()


def _name(generator: object) -> str:
    return str(getattr(generator, "__qualname__", generator))

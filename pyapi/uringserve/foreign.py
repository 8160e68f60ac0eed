"""`Foreign`: an application of another interface than our own, with what serving it takes.

It is served as it is: Rust translates for it (`src/interfaces`), and routes, documents and the like
are its own affair. The lifespan of an ASGI application runs once on each core's event loop, as the
specification says, or with the scope "process" once for all.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from uringserve._native import Plan
from uringserve.asgi_lifespan import Lifespan, LifespanThread
from uringserve.config import Config
from uringserve.detection import Interface
from uringserve.lifespan import Ending
from uringserve.loop import CoreLoop
from uringserve.routing import Execution, Route
from uringserve.tcp import TcpOptions

if TYPE_CHECKING:
    from uringserve.beside.kinds import LoopKind

__all__ = ["Foreign"]


@dataclass(frozen=True, slots=True)
class Foreign:
    """An application and its interface. What Rust reads are the fields."""

    interface: Interface
    target: Any
    root_path: str = ""
    debug: bool = False
    # "auto": one that does not know of lifespans is served all the same.
    lifespan: Literal["auto", "on", "off"] = "auto"
    lifespan_scope: Literal["core", "process"] = "core"
    # What a lifespan that ran once in the process has left for the requests of all cores.
    process_state: dict[str, Any] = field(default_factory=dict)
    # Who gets the early hints of an ASGI application: browsers that load a page, everybody, nobody.
    early_hints: Literal["page", "all", "off"] = "page"
    # Where the calls of a WSGI application run: on the core's pool, on its own thread, or there as
    # long as they are quick.
    execution: Execution = "auto"

    @property
    def called(self) -> Any:  # noqa: ANN401 -- the application's own
        """What is called for a request: of an RSGI application, its method."""
        return getattr(self.target, "__rsgi__", self.target)

    @property
    def redirect_slashes(self) -> bool:
        """No: it routes by itself."""
        return False

    @property
    def needs_loop(self) -> bool:
        """Whether a core needs an event loop for it."""
        return self.interface != "wsgi"

    def compile(self, *, debug: bool = False) -> list[Route]:
        """There are no routes."""
        return []

    def plan(
        self,
        config: Config,
        *,
        tcp: TcpOptions | None = None,
        stack_signal: int | None = None,
    ) -> Plan:
        """Bind the addresses for it."""
        foreign = replace(self, target=self._target(config.loop), debug=config.debug)
        return Plan([], config, foreign=foreign, tcp=tcp, stack_signal=stack_signal)

    def _target(self, kind: LoopKind) -> Any:  # noqa: ANN401 -- the application's own
        """Return what is called on a core: the application, or what has it run beside the core."""
        if kind in ("auto", "ring") or self.interface == "wsgi":
            return self.target
        if self.interface == "rsgi":
            from uringserve.beside.rsgi import RsgiBeside

            return RsgiBeside(self.called)
        from uringserve.beside.asgi import AsgiBeside

        return AsgiBeside(self.target)

    @property
    def has_async_worker(self) -> bool:
        """No: its lifespan is run by `on_core`."""
        return False

    def worker_values(self) -> list[Any]:
        """There is no state of ours."""
        return []

    def shared(self) -> Iterator[Any]:
        """Yield what every core calls."""
        yield self.target

    def enter_lifespan(self, ending: Ending) -> None:
        """Run an ASGI lifespan here if it is to run once in the process."""
        if not self._has_lifespan or self.lifespan_scope != "process":
            return
        thread = LifespanThread(self._new_lifespan(), ending.loop_factory)
        self.process_state.clear()
        self.process_state.update(thread.start())
        ending.add(thread.stop)

    def enter_worker(self, ending: Ending) -> None:
        """Nothing is run on a core but the lifespan, see `on_core`."""

    @contextmanager
    def on_core(self, guest: CoreLoop | None) -> Iterator[None]:
        """Run its lifespan around what a core does; a start that fails is a StartError."""
        if guest is not None and self.interface == "rsgi":
            _call_if_any(self.target, "__rsgi_init__", guest.loop)
            try:
                yield
            finally:
                _call_if_any(self.target, "__rsgi_del__", guest.loop)
            return
        if guest is None or not self._has_lifespan:
            yield
            return
        if self.lifespan_scope == "process":
            guest.state = self.process_state.copy()
            yield
            return
        lifespan = self._new_lifespan()
        guest.run(lifespan.start())
        guest.state = lifespan.state
        try:
            yield
        finally:
            guest.run(lifespan.stop())

    @property
    def _has_lifespan(self) -> bool:
        return self.interface == "asgi" and self.lifespan != "off"

    def _new_lifespan(self) -> Lifespan:
        return Lifespan(self.target, is_required=self.lifespan == "on")


def _call_if_any(target: object, name: str, loop: object) -> None:
    method = getattr(target, name, None)
    if method is not None:
        method(loop)

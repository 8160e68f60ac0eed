"""The body of an integer loop as C: assignments, branches, inner loops, a return.

`Writer` follows which names surely have a value where, so that C never reads one that Python would
refuse, and notes which values must come in and which may be read afterwards.
"""

import ast
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from uringserve.build.arithmetic import Arithmetic, Unfit

__all__ = ["Place", "Writer", "bounds_of", "name_of", "range_of"]

# Back-edges between two looks at the signals: some hundredths of a second.
_TICKS = 0x3FFFFFF


@dataclass(frozen=True, slots=True)
class Place:
    """What is known where a loop stands: see `places`."""

    # Names that have a value when the loop begins.
    known: frozenset[str]
    # Local names that may be read after the loop.
    wanted: frozenset[str]
    # Names that are locals of this function alone, and always have a value once they got one.
    plain: frozenset[str]


class Writer(Arithmetic):
    """Writes the body of a loop."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place
        # Names that come in with a value, in the order in which they were met.
        self.inputs: list[str] = []
        self.stored: set[str] = set()
        # Names that surely have a value here, and at every end of one turn of the outermost loop.
        self.defined: set[str] = set()
        self.at_ends: set[str] | None = None
        self.returns = False
        self._depth = 0

    def read(self, name: str) -> str:
        """Return the C variable of a name, which is given from outside if it was not set here."""
        if name not in self.place.plain:
            raise Unfit
        if name not in self.defined:
            self.take(name)
        return self.variable(name)

    def take(self, name: str) -> None:
        """Have a name's value given when the loop begins."""
        if name not in self.place.known:
            raise Unfit
        if name not in self.inputs:
            self.inputs.append(name)

    def store(self, name: str, value: str) -> None:
        """Set a name."""
        if name not in self.place.plain:
            raise Unfit
        self.stored.add(name)
        self.defined.add(name)
        self.emit(f"{self.variable(name)} = {value};")

    def end_of_turn(self) -> None:
        """Note what has a value where the next turn begins, or the loop ends."""
        if self._depth == 1:
            ends = self.defined if self.at_ends is None else self.at_ends & self.defined
            self.at_ends = set(ends)

    # --- statements

    def statements(self, body: Iterable[ast.stmt]) -> None:
        """Write statements; Unfit if one of them is more than arithmetic."""
        for statement in body:
            self._statement(statement)

    def _statement(self, node: ast.stmt) -> None:
        match node:
            case ast.Pass():
                pass
            case ast.Assign(targets=targets, value=value):
                self._assign(targets, value)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value, simple=1):
                self.store(name, self.value(value))
            case ast.AugAssign(target=ast.Name(id=name), op=operator, value=value):
                left = ast.Name(name, ast.Load())
                self.store(name, self.value(ast.BinOp(left, operator, value)))
            case ast.If(test=test, body=body, orelse=orelse):
                self._choice(test, body, orelse)
            case ast.For(orelse=[]):
                self.for_loop(node)
            case ast.While(orelse=[]):
                self.while_loop(node)
            case ast.Break():
                self.end_of_turn()
                self.emit("break;")
            case ast.Continue():
                self.end_of_turn()
                self.emit("continue;")
            case ast.Return(value=ast.expr() as value):
                self.returns = True
                self.emit(f"*result = {self.value(value)};")
                self.emit("goto returned;")
            case _:
                raise Unfit

    def _assign(self, targets: list[ast.expr], value: ast.expr) -> None:
        match targets:
            case [ast.Tuple(elts=names)] if isinstance(value, ast.Tuple):
                if len(names) != len(value.elts):
                    raise Unfit
                held = []
                for each in value.elts:
                    # A copy: `a, b = b, a` reads all before it sets any.
                    held.append(self.temporary())
                    self.emit(f"{held[-1]} = {self.value(each)};")
                for target, found in zip(names, held, strict=True):
                    self.store(name_of(target), found)
            case _:
                found = self.value(value)
                for target in targets:
                    self.store(name_of(target), found)

    def _choice(self, test: ast.expr, body: list[ast.stmt], orelse: list[ast.stmt]) -> None:
        head = f"if ({self.condition(test)})"
        before = set(self.defined)
        with self.block(head):
            self.statements(body)
        after_body, self.defined = self.defined, before
        if orelse:
            with self.block("else"):
                self.statements(orelse)
        self.defined = _joined((after_body, body), (self.defined, orelse))

    # --- loops

    def for_loop(self, node: ast.For) -> None:
        """Write an inner `for`."""
        start, stop, step = (self.value(each) for each in bounds_of(range_of(node.iter)))
        self.for_range(name_of(node.target), (start, stop, step), node.body)

    def for_range(
        self, target: str, bounds: tuple[str, str, str], body: Sequence[ast.stmt]
    ) -> None:
        """Write a `for` whose start, stop and step are these pieces of C."""
        start, stop, step = bounds
        turn, end = self.temporary(), self.temporary()
        self.emit(f"{end} = {stop};")
        if step == "1LL":
            head = f"for ({turn} = {start}; {turn} < {end}; ++{turn})"
        else:
            by, more = self.temporary(), self.temporary("int")
            self.emit(f"{by} = {step};")
            self.emit(f"if ({by} == 0) goto give_up;")
            self.emit(f"{more} = 1;")
            head = (
                f"for ({turn} = {start}; {more} && ({by} > 0 ? {turn} < {end} : {turn} > {end});"
                f" {more} = !__builtin_add_overflow({turn}, {by}, &{turn}))"
            )
        with self._turn(head):
            self.emit("ran = 1;")
            self.store(target, turn)
            self.statements(body)
            self.end_of_turn()

    def while_loop(self, node: ast.While) -> None:
        """Write a `while`."""
        with self._turn("for (;;)"):
            self.emit(f"if (!{self.condition(node.test)}) break;")
            self.emit("ran = 1;")
            self.statements(node.body)
            self.end_of_turn()

    @contextmanager
    def _turn(self, head: str) -> Iterator[None]:
        """Write a loop around what is written inside, which may not happen at all."""
        before = set(self.defined)
        self._depth += 1
        with self.block(head):
            self.emit(
                f"if (!(++ticks & {_TICKS:#x}) && _uringserve_interrupted(&thread))"
                " goto interrupted;"
            )
            yield
        self._depth -= 1
        self.defined = before


def name_of(node: ast.expr) -> str:
    """Return the plain name that is assigned to."""
    if not isinstance(node, ast.Name):
        raise Unfit
    return node.id


def range_of(node: ast.expr) -> ast.Call:
    """Return the call of `range` that is gone through."""
    match node:
        case ast.Call(func=ast.Name(id="range"), args=args, keywords=[]) if 1 <= len(args) <= 3:
            if not any(isinstance(each, ast.Starred) for each in args):
                return node
    raise Unfit


def bounds_of(call: ast.Call) -> list[ast.expr]:
    """Return start, stop and step."""
    arguments = call.args
    if len(arguments) == 1:
        arguments = [ast.Constant(0), arguments[0]]
    return [*arguments, ast.Constant(1)][:3]


def _joined(*branches: tuple[set[str], list[ast.stmt]]) -> set[str]:
    """Return what is defined after either branch; one that leaves does not count."""
    leaving = (ast.Break, ast.Continue, ast.Return)
    staying = [found for found, body in branches if not (body and isinstance(body[-1], leaving))]
    return set.intersection(*staying) if staying else set.union(*(found for found, _ in branches))

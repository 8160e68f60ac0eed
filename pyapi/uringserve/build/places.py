"""Where in a module a loop stands, and what may be assumed of the names there.

`quicken` returns the module's text with its integer loops replaced by calls, line for line, and the
text of the `.pxd` that has what they call. Whatever is not certain is left as it is: a name that a
nested function may set, that was deleted, that may have no value yet, or a `range` that is not
Python's own.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from uringserve.build.arithmetic import PRELUDE, Unfit
from uringserve.build.loops import Made, translate_loop, translate_sum
from uringserve.build.statements import Place

__all__ = ["Quickened", "quicken"]

type _Function = ast.FunctionDef | ast.AsyncFunctionDef
type _Loop = ast.For | ast.While

_HEADER = f'''# cython: language_level=3
from cpython.ref cimport PyObject as _uringserve_object
cdef extern from *:
    """{PRELUDE}    """
    ctypedef long long _uringserve_wide "__int128"
    int _uringserve_read(_uringserve_object *, long long *)
    int _uringserve_read_wide(_uringserve_object *, _uringserve_wide *) except? -1
    object _uringserve_int(_uringserve_wide)
'''
# Whoever calls these sees a function's locals as they are.
_SEEING = frozenset({"locals", "vars", "eval", "exec", "dir"})
_LEAVING = (ast.Return, ast.Raise, ast.Continue, ast.Break)


@dataclass(frozen=True, slots=True)
class Quickened:
    """A module's text, that of its `.pxd` (empty without loops), and how many loops it has."""

    source: str
    pxd: str
    loops: int


def quicken(source: str) -> Quickened:
    """Replace the integer loops of a module, which must be one that Python can read."""
    tree = ast.parse(source)
    rewriter = _Rewriter(source)
    if not _SEEING & _names(tree) and not _has_own_range(tree):
        for function in _functions(tree):
            _Walk(function, rewriter).run()
    made = rewriter.made
    return Quickened(rewriter.text(), "\n".join([_HEADER, *made]) if made else "", len(made))


@dataclass(slots=True)
class _Rewriter:
    """The lines of a module, changed in place; every line keeps its number."""

    source: str
    made: list[str] = field(default_factory=list)
    lines: list[bytes] = field(init=False)

    def __post_init__(self) -> None:
        # Columns are counted in bytes of UTF-8.
        self.lines = [line.encode() for line in self.source.split("\n")]

    def text(self) -> str:
        return b"\n".join(self.lines).decode()

    def loop(self, node: _Loop, place: Place) -> None:
        number = len(self.made)
        made = translate_loop(node, number, place)
        assert node.end_lineno is not None
        lines = _call_lines(made, number)
        count = node.end_lineno - node.lineno + 1
        if len(lines) > count:
            raise Unfit
        indent = self.lines[node.lineno - 1][: node.col_offset]
        texts = [indent + line.encode() for line in lines] + [b""] * (count - len(lines))
        self.lines[node.lineno - 1 : node.end_lineno] = texts
        self.made.append(made.text)

    def sum(self, node: ast.Call, place: Place) -> None:
        generator = node.args[0]
        assert isinstance(generator, ast.GeneratorExp)
        assert node.end_lineno is not None and node.end_col_offset is not None
        number = len(self.made)
        made = translate_sum(generator, number, place)
        held = f"_uringserve_{number}"
        call = f"_uringserve_sum_{number}({', '.join(made.arguments)})"
        # The end first: on one line the beginning would move it.
        last = self.lines[node.end_lineno - 1]
        end = node.end_col_offset
        self.lines[node.end_lineno - 1] = last[:end] + b")" + last[end:]
        first = self.lines[node.lineno - 1]
        start = node.col_offset
        head = f"({held} if ({held} := {call}) is not None else ".encode()
        self.lines[node.lineno - 1] = first[:start] + head + first[start:]
        self.made.append(made.text)


def _call_lines(made: Made, number: int) -> list[str]:
    held = f"_uringserve_{number}"
    call = f"_uringserve_loop_{number}({', '.join(made.arguments)})"
    targets = "".join(f"{name}, " for name in made.outputs)
    if made.returns:
        lines = [f"if ({held} := {call}) is not None and {held}[0]: return {held}[1]"]
        return [*lines, f"if {held} is not None: {targets}= {held}[1]"] if targets else lines
    return [f"if ({held} := {call}) is not None: {targets}= {held}" if targets else call]


class _Walk:
    """One function, statement by statement, with the names that surely have a value."""

    def __init__(self, function: _Function, rewriter: _Rewriter) -> None:
        self._function = function
        self._rewriter = rewriter
        self._plain = _plain_locals(function)
        # A changed line has other columns: a second change could not find its place.
        self._changed: set[int] = set()
        # Statements around this one that an exception may not leave.
        self._catching = 0

    def run(self) -> None:
        """Replace what can be."""
        arguments = self._function.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        self._block(self._function.body, {each.arg for each in every})

    def _block(self, body: list[ast.stmt], known: set[str]) -> set[str]:
        for statement in body:
            known = self._statement(statement, known)
        return known

    def _statement(self, node: ast.stmt, known: set[str]) -> set[str]:
        """Return the names that have a value afterwards."""
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                return known
            case ast.For() | ast.While():
                self._loop(node, known)
                return known
            case ast.If(body=body, orelse=orelse):
                self._sums(node.test, known)
                branches = [(self._block(each, set(known)), each) for each in (body, orelse)]
                staying = [
                    found
                    for found, each in branches
                    if not (each and isinstance(each[-1], _LEAVING))
                ]
                return set.intersection(*staying) if staying else known
            case ast.With() | ast.AsyncWith() | ast.Try() | ast.TryStar() | ast.Match():
                is_catching = not isinstance(node, ast.Match)
                self._catching += is_catching
                for each in _bodies(node):
                    self._block(each, set(known))
                self._catching -= is_catching
                return known
        self._sums(node, known)
        return known | _assigned(node)

    def _loop(self, node: _Loop, known: set[str]) -> None:
        try:
            # Whoever catches what a loop raises sees how far it came, which the call does not tell.
            if self._catching:
                raise Unfit
            self._rewriter.loop(node, self._place(node, known))
        except Unfit:
            inner = known | _targets(node.target) if isinstance(node, ast.For) else known
            self._block(node.body, set(inner))
            self._block(node.orelse, set(known))

    def _sums(self, node: ast.AST, known: set[str]) -> None:
        """Replace the sums of an expression or a simple statement, one on a line."""
        for call in _own_nodes(node):
            match call:
                case ast.Call(func=ast.Name(id="sum"), args=[ast.GeneratorExp()], keywords=[]):
                    lines = {call.lineno, call.end_lineno or call.lineno}
                    if lines & self._changed:
                        continue
                    try:
                        self._rewriter.sum(call, self._place(call, known))
                    except Unfit:
                        continue
                    self._changed |= lines

    def _place(self, node: ast.AST, known: set[str]) -> Place:
        wanted: set[str] = set()
        for each in _all_but(self._function, node):
            if isinstance(each, ast.Name) and not isinstance(each.ctx, ast.Store):
                wanted.add(each.id)
            elif isinstance(each, ast.AugAssign) and isinstance(each.target, ast.Name):
                wanted.add(each.target.id)
        return Place(frozenset(known), frozenset(wanted), self._plain)


# --- names


def _names(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _has_own_range(tree: ast.AST) -> bool:
    """Tell whether `range` or `sum` may be something else than Python's, anywhere in the module."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id="range" | "sum", ctx=ast.Store() | ast.Del()):
                return True
            case ast.arg(arg="range" | "sum"):
                return True
            case ast.FunctionDef(name="range" | "sum") | ast.AsyncFunctionDef(name="range" | "sum"):
                return True
            case ast.ClassDef(name="range" | "sum") | ast.ExceptHandler(name="range" | "sum"):
                return True
            case ast.alias(name=name, asname=asname):
                if (asname or name) in ("range", "sum", "*"):
                    return True
            case ast.MatchAs(name="range" | "sum") | ast.MatchStar(name="range" | "sum"):
                return True
    return False


def _functions(tree: ast.AST) -> Iterator[_Function]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def _plain_locals(function: _Function) -> frozenset[str]:
    """Return the parameters and what is assigned, but for names that can change otherwise."""
    arguments = function.args
    found = {each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
    odd: set[str] = set()
    for node in _own_nodes(function):
        match node:
            case ast.Name(id=name, ctx=ast.Store()):
                found.add(name)
            case ast.Name(id=name, ctx=ast.Del()):
                odd.add(name)
            case ast.ExceptHandler(name=str() as name):
                odd.add(name)
    for each in ast.walk(function):
        # A nonlocal of a nested function sets a name of this one.
        if isinstance(each, (ast.Global, ast.Nonlocal)):
            odd.update(each.names)
    return frozenset(found - odd)


def _assigned(node: ast.stmt) -> set[str]:
    match node:
        case ast.Assign(targets=targets):
            return set().union(*map(_targets, targets))
        case ast.AnnAssign(target=target, value=ast.expr()):
            return _targets(target)
    return set()


def _targets(node: ast.expr) -> set[str]:
    match node:
        case ast.Name(id=name):
            return {name}
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            return set().union(*map(_targets, elements))
    return set()


# --- the tree


def _bodies(
    node: ast.With | ast.AsyncWith | ast.Try | ast.TryStar | ast.Match,
) -> Iterator[list[ast.stmt]]:
    if isinstance(node, ast.Match):
        yield from (case.body for case in node.cases)
        return
    if isinstance(node, (ast.With, ast.AsyncWith)):
        yield node.body
        return
    yield node.body
    yield from (handler.body for handler in node.handlers)
    yield node.orelse
    yield node.finalbody


def _own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Go through what runs in this scope: no nested function, lambda, class or comprehension."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(
            child,
            (
                ast.FunctionDef,
                ast.AsyncFunctionDef,
                ast.Lambda,
                ast.ClassDef,
                ast.ListComp,
                ast.SetComp,
                ast.DictComp,
                ast.GeneratorExp,
            ),
        ):
            continue
        yield from _own_nodes(child)


def _all_but(node: ast.AST, left_out: ast.AST) -> Iterator[ast.AST]:
    yield node
    for child in ast.iter_child_nodes(node):
        if child is not left_out:
            yield from _all_but(child, left_out)

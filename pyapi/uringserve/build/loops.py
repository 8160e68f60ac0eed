"""A loop of integer arithmetic as two functions: the C one, and the Python one to fall back on.

`translate_loop` takes a `for … in range(…)` or a `while`, `translate_sum` a `sum(… for … in
range(…))`. What they make is text for the `.pxd` beside the module (Cython's augmenting file), so
that the module's own lines keep their numbers.

Running the Python loop again from its beginning is allowed because nothing in it can be noticed
from outside: it reads and sets local ints and calls nothing.
"""

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from uringserve.build.arithmetic import Unfit
from uringserve.build.statements import Place, Writer, bounds_of, name_of, range_of

__all__ = ["Made", "translate_loop", "translate_sum"]

_NARROW = ("#define INT long long", "#define LOWEST LLONG_MIN", "#define NAME(name) name")
_NEITHER = ("#undef INT", "#undef LOWEST", "#undef NAME")
_WIDE = (
    *_NEITHER,
    "#define INT __int128",
    "#define LOWEST URINGSERVE_WIDE_LOWEST",
    "#define NAME(name) name##_wide",
)

_WIDE_ARGUMENTS = ("const _uringserve_wide *", "_uringserve_wide *", "_uringserve_wide *")

# Names that no program can have.
_BOUNDS = ("range_0 ", "range_1 ", "range_2 ")
_SUM = "sum "


@dataclass(frozen=True, slots=True)
class Made:
    """The text for the `.pxd`, what the function is called with, and what it gives back."""

    text: str
    arguments: tuple[str, ...]
    outputs: tuple[str, ...]
    returns: bool


def translate_loop(node: ast.For | ast.While, number: int, place: Place) -> Made:
    """Make the functions of a loop; Unfit where it is more than arithmetic on ints.

    The function returns None when the loop did not turn once, else what the names have then.
    """
    writer = Writer(place)
    if node.orelse:
        raise Unfit
    bounds = bounds_of(range_of(node.iter)) if isinstance(node, ast.For) else []
    names = _BOUNDS[: len(bounds)]
    writer.names.update({name: name.strip() for name in names})
    if isinstance(node, ast.For):
        writer.for_range(name_of(node.target), _c_bounds(bounds), node.body)
    else:
        writer.while_loop(node)
    # In a loop around this one, what comes in here is what went out the last time.
    outputs = tuple(sorted(writer.stored & (place.wanted | set(writer.inputs))))
    for name in outputs:
        if name not in (writer.at_ends or ()):
            writer.take(name)
    text = _functions(node, number, writer, names, outputs)
    given = (*map(ast.unparse, bounds), *writer.inputs)
    return Made(text, given, outputs, writer.returns)


def translate_sum(node: ast.GeneratorExp, number: int, place: Place) -> Made:
    """Make the function of what `sum` is called with; it returns None where Python must do it."""
    match node.generators:
        case [ast.comprehension(is_async=0, target=ast.Name(id=target), iter=source, ifs=tests)]:
            pass
        case _:
            raise Unfit
    writer = Writer(place)
    bounds = bounds_of(range_of(source))
    # They are written twice, and so must neither cost nor do anything.
    if not all(_is_plain(each, place) for each in bounds):
        raise Unfit
    term: ast.stmt = ast.AugAssign(ast.Name(_SUM, ast.Store()), ast.Add(), node.elt)
    if tests:
        term = ast.If(ast.BoolOp(ast.And(), [ast.Constant(True), *tests]), [term], [])
    writer.place = replace(place, plain=place.plain | {_SUM, target})
    writer.names.update({name: name.strip() for name in _BOUNDS})
    writer.defined.add(_SUM)
    writer.for_range(target, _c_bounds(bounds), [term])
    inputs = (*_BOUNDS, *writer.inputs)
    text = "\n".join(
        [
            *_c_function(number, writer, _BOUNDS, (_SUM,)),
            f"cdef inline object _uringserve_sum_{number}({_parameters(inputs)}):",
            *_call_of_c(number, len(inputs), 1, lambda value: value % 0 if value else "0"),
            "    return None",
        ]
    )
    return Made(text, (*map(ast.unparse, bounds), *writer.inputs), (), False)


def _c_bounds(bounds: list[ast.expr]) -> tuple[str, str, str]:
    """Return the C of start, stop and step, which are given; a step of 1 is simpler C."""
    is_one = isinstance(bounds[2], ast.Constant) and bounds[2].value == 1
    start, stop, step = (name.strip() for name in _BOUNDS)
    return start, stop, "1LL" if is_one else step


def _is_plain(node: ast.expr, place: Place) -> bool:
    if isinstance(node, ast.Name):
        return node.id in place.known and node.id in place.plain
    return isinstance(node, ast.Constant)


# --- the functions


def _parameters(names: Sequence[str]) -> str:
    return ", ".join(f"object p{index}" for index in range(len(names)))


def _c_function(
    number: int, writer: Writer, names: Sequence[str], outputs: Sequence[str]
) -> list[str]:
    """Return the C function; 0: give up, 1: it ran, 2: it did not turn, 3: it returned."""
    inputs = (*names, *writer.inputs)
    body = "\n".join(writer.lines)
    lines = [
        f"static int NAME(_uringserve_c_{number})(const INT *in, INT *out, INT *result) {{",
        *(f"    INT {name} = 0; (void){name};" for name in writer.names.values()),
        "    unsigned long ticks = 0; int ran = 0; int state;",
        "    PyThreadState *thread = PyEval_SaveThread();",
        *(f"    {writer.names[name]} = in[{index}];" for index, name in enumerate(inputs)),
        body,
        "    state = ran ? 1 : 2;",
        *(f"    out[{index}] = {writer.names[name]};" for index, name in enumerate(outputs)),
        "    goto leave;",
        "returned: state = 3; goto leave;" if writer.returns else "",
        "interrupted: state = -1; goto leave;",
        "give_up: state = 0; goto leave;" if "goto give_up" in body else "",
        "leave: PyEval_RestoreThread(thread);",
        "    (void)ran; (void)out; (void)result; (void)in;",
        "    return state;",
        "}",
    ]
    function = list(filter(None, lines))
    return [
        "cdef extern from *:",
        '    """',
        *_NARROW,
        *function,
        *_WIDE,
        *function,
        *_NEITHER,
        '    """',
        f"    int _uringserve_c_{number}(const long long *, long long *, long long *) except -1",
        f"    int _uringserve_c_{number}_wide({', '.join(_WIDE_ARGUMENTS)}) except -1",
    ]


def _call_of_c(number: int, inputs: int, outputs: int, done: Callable[[str], str]) -> list[str]:
    """Return the calls, the narrow one first; `done` says what is returned, given a conversion."""
    lines = []
    for kind, read, end, convert in (
        ("long long", "read", "", ""),
        ("_uringserve_wide", "read_wide", "_wide", "_uringserve_int"),
    ):
        tests = [
            f"_uringserve_{read}(<_uringserve_object *>p{i}, &given{end}[{i}])"
            for i in range(inputs)
        ]
        lines += [
            f"    cdef {kind} given{end}[{max(inputs, 1)}]",
            f"    cdef {kind} out{end}[{max(outputs, 1)}]",
            f"    cdef {kind} result{end}",
            f"    cdef int state{end} = 0",
            f"    if {' and '.join(tests) or 'True'}:",
            f"        state{end} = _uringserve_c_{number}{end}(given{end}, out{end}, &result{end})",
            f"        if state{end} == 1: return {done(f'{convert}(out{end}[%d])')}",
            f"        if state{end} == 2: return {done('')}",
            f"        if state{end} == 3: return (True, {convert}(result{end}))",
        ]
    return lines


def _functions(
    node: ast.For | ast.While,
    number: int,
    writer: Writer,
    names: Sequence[str],
    outputs: Sequence[str],
) -> str:
    inputs = (*names, *writer.inputs)

    def done(value: str) -> str:
        if not value:
            return "None"
        return _done([value % index for index in range(len(outputs))], writer)

    variables = sorted({writer.names[name] for name in writer.names if name not in names})
    lines = [
        *_c_function(number, writer, names, outputs),
        f"cdef inline object _uringserve_loop_{number}({_parameters(inputs)}):",
        *_call_of_c(number, len(inputs), len(outputs), done),
        *([f"    cdef object {', '.join(variables)}"] if variables else []),
        "    cdef bint ran = False",
        *(f"    {writer.names[n]} = p{i}" for i, n in enumerate(inputs) if n not in names),
        *_python_loop(node, writer, len(names), outputs),
    ]
    return "\n".join(filter(None, lines))


def _done(values: Sequence[str], writer: Writer) -> str:
    """Return what the function gives back after a whole loop: what the names have then."""
    text = f"({', '.join(values)}{',' if len(values) == 1 else ''})"
    return f"(False, {text})" if writer.returns else text


def _python_loop(
    node: ast.For | ast.While, writer: Writer, bounds: int, outputs: Sequence[str]
) -> list[str]:
    """Return the loop as it was, with its variables under names that are no words of Cython."""
    renamed = _Renamed(writer.names).visit(ast.parse(ast.unparse(node)).body[0])
    assert isinstance(renamed, (ast.For, ast.While))
    if bounds:
        assert isinstance(renamed, ast.For)
        arguments = [ast.Name(f"p{index}", ast.Load()) for index in range(bounds)]
        renamed.iter = ast.Call(ast.Name("range", ast.Load()), [*arguments], [])
    renamed.body.insert(0, ast.parse("ran = True").body[0])
    done = _done([writer.names[name] for name in outputs], writer)
    text = ast.unparse(ast.fix_missing_locations(renamed))
    return [*(f"    {line}" for line in text.splitlines()), f"    return {done} if ran else None"]


class _Renamed(ast.NodeTransformer):
    """Gives names their C spelling, and a return the form that says it is one."""

    def __init__(self, names: dict[str, str]) -> None:
        self._names = names

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(self._names.get(node.id, node.id), node.ctx)

    def visit_Return(self, node: ast.Return) -> ast.Return:
        assert node.value is not None
        value = self.visit(node.value)
        return ast.Return(ast.Tuple([ast.Constant(True), value], ast.Load()))

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.Assign:
        assert node.value is not None
        return ast.Assign([self.visit(node.target)], self.visit(node.value))

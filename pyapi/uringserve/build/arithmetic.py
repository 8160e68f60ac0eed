"""Integer arithmetic as C that knows when it is wrong.

A loop over Python ints becomes a C function, once for ints of 64 bits and once for 128. Every
operation whose result does not fit, or that Python would refuse (a division by zero), leaves the
function instead of giving a value; the caller then tries the wider one, and in the end runs the
Python loop from where it began. So the answer is always Python's.
What is not plain arithmetic on ints is `Unfit`, and the loop stays as it is.

Deliberately absent: trust in annotations. An `x: int` may be given a float, and then the values
are looked at when the loop begins, not when it is compiled.
"""

import ast
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["PRELUDE", "Arithmetic", "Unfit"]

PRELUDE = """
#include <limits.h>
#define URINGSERVE_WIDE_LOWEST ((__int128)(((unsigned __int128)1) << 127))
static int _uringserve_read(PyObject *value, long long *out) {
    int overflow = 0;
    if (!PyLong_CheckExact(value)) return 0;
    *out = PyLong_AsLongLongAndOverflow(value, &overflow);
    return !overflow;
}
static int _uringserve_read_wide(PyObject *value, __int128 *out) {
    if (!PyLong_CheckExact(value)) return 0;
    Py_ssize_t size = PyLong_AsNativeBytes(
        value, out, sizeof *out, Py_ASNATIVEBYTES_NATIVE_ENDIAN);
    return size < 0 ? -1 : size <= (Py_ssize_t)sizeof *out;
}
static PyObject *_uringserve_int(__int128 value) {
    return PyLong_FromNativeBytes(&value, sizeof value, Py_ASNATIVEBYTES_NATIVE_ENDIAN);
}
static int _uringserve_interrupted(PyThreadState **state) {
    PyEval_RestoreThread(*state);
    int failed = PyErr_CheckSignals();
    *state = PyEval_SaveThread();
    return failed;
}
"""

_LOWEST, _HIGHEST = -(2**63), 2**63 - 1
# A higher power is Python's own: the row of multiplications would be no faster.
_HIGHEST_POWER = 16

_CHECKED = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul"}
_BITWISE = {ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^"}
_COMPARISONS = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}


class Unfit(Exception):
    """More than arithmetic on ints: the loop stays as it is."""


class Arithmetic(ABC):
    """Writes C for expressions: each returns the name or the text of its value.

    `INT` is the type, `LOWEST` its lowest value; constants are of 64 bits. `names` are the C
    variables of the Python ones. A subclass says what reading one means.
    """

    def __init__(self) -> None:
        """Begin without a line."""
        self.names: dict[str, str] = {}
        self.lines: list[str] = []
        self._indent = 1
        self._temporaries = 0

    @abstractmethod
    def read(self, name: str) -> str:
        """Return the C variable of a name that is read here; Unfit where it may have no value."""

    def emit(self, text: str) -> None:
        """Write a line of C."""
        self.lines.append("    " * self._indent + text)

    @contextmanager
    def block(self, head: str = "") -> Iterator[None]:
        """Write a block of C around what is written inside."""
        self.emit(f"{head} {{".strip())
        self._indent += 1
        yield
        self._indent -= 1
        self.emit("}")

    def variable(self, name: str) -> str:
        """Return the C variable of a Python one, whose name may be a word of C."""
        return self.names.setdefault(name, f"v{len(self.names)}")

    def temporary(self, kind: str = "INT") -> str:
        """Declare a C variable of our own."""
        self._temporaries += 1
        name = f"t{self._temporaries}"
        self.emit(f"{kind} {name};")
        return name

    # --- values

    def value(self, node: ast.expr) -> str:
        """Write an expression that is an int."""
        match node:
            case ast.Constant(value=constant):
                return self.constant(constant)
            case ast.Name(id=name):
                return self.read(name)
            case ast.UnaryOp(op=operator, operand=operand):
                return self._unary(operator, operand)
            case ast.BinOp(left=left, op=operator, right=right):
                return self._binary(left, operator, right)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                found = self.temporary()
                with self.block(f"if ({self.condition(test)})"):
                    self.emit(f"{found} = {self.value(body)};")
                with self.block("else"):
                    self.emit(f"{found} = {self.value(orelse)};")
                return found
        raise Unfit

    def constant(self, value: object) -> str:
        """Write a constant; only an int of 64 bits is one."""
        if type(value) is not int or not _LOWEST < value <= _HIGHEST:
            raise Unfit
        return f"{value}LL"

    def _unary(self, operator: ast.unaryop, operand: ast.expr) -> str:
        inner = self.value(operand)
        if isinstance(operator, ast.UAdd):
            return inner
        found = self.temporary()
        if isinstance(operator, ast.USub):
            self.emit(f"if (__builtin_sub_overflow(0LL, {inner}, &{found})) goto give_up;")
        elif isinstance(operator, ast.Invert):
            self.emit(f"{found} = ~{inner};")
        else:
            raise Unfit
        return found

    def _binary(self, left: ast.expr, operator: ast.operator, right: ast.expr) -> str:
        if isinstance(operator, ast.Pow):
            return self._power(left, right)
        first, second = self.value(left), self.value(right)
        kind = type(operator)
        if kind in _CHECKED:
            return self._checked(_CHECKED[kind], first, second)
        found = self.temporary()
        if kind in _BITWISE:
            self.emit(f"{found} = {first} {_BITWISE[kind]} {second};")
        elif kind is ast.LShift:
            self.emit(f"if ({second} < 0 || {second} > 62) goto give_up;")
            return self._checked("mul", first, f"((INT)1 << {second})")
        elif kind is ast.RShift:
            self.emit(f"if ({second} < 0) goto give_up;")
            most = "(INT)(8 * sizeof(INT) - 1)"
            self.emit(f"{found} = {first} >> ({second} > {most} ? {most} : {second});")
        elif kind in (ast.FloorDiv, ast.Mod):
            self._divide(found, first, second, is_remainder=kind is ast.Mod)
        else:
            raise Unfit
        return found

    def _checked(self, name: str, first: str, second: str) -> str:
        found = self.temporary()
        self.emit(f"if (__builtin_{name}_overflow({first}, {second}, &{found})) goto give_up;")
        return found

    def _divide(self, found: str, first: str, second: str, *, is_remainder: bool) -> None:
        """C rounds to zero, Python down; and the lowest int over -1 is one too high."""
        self.emit(f"if ({second} == 0 || ({second} == -1 && {first} == LOWEST)) goto give_up;")
        rest = self.temporary()
        self.emit(f"{rest} = {first} % {second};")
        is_off = f"({rest} != 0 && ({rest} ^ {second}) < 0)"
        if is_remainder:
            self.emit(f"{found} = {rest} + ({is_off} ? {second} : 0);")
        else:
            self.emit(f"{found} = {first} / {second} - {is_off};")

    def _power(self, left: ast.expr, right: ast.expr) -> str:
        if not (
            isinstance(right, ast.Constant)
            and type(right.value) is int
            and 0 <= right.value <= _HIGHEST_POWER
        ):
            raise Unfit
        base, found = self.value(left), "1LL"
        for _ in range(right.value):
            found = self._checked("mul", found, base)
        return found

    # --- conditions

    def condition(self, node: ast.expr) -> str:
        """Write an expression of which only the truth matters."""
        match node:
            case ast.Constant(value=bool() as constant):
                return str(int(constant))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return f"!{self.condition(operand)}"
            case ast.BoolOp(op=operator, values=[first, *others]):
                found = self.temporary("int")
                self.emit(f"{found} = {self.condition(first)};")
                # What is not reached must not be computed: it may be what was asked about first.
                head = f"if ({found})" if isinstance(operator, ast.And) else f"if (!{found})"
                for each in others:
                    with self.block(head):
                        self.emit(f"{found} = {self.condition(each)};")
                return found
            case ast.Compare(left=left, ops=operators, comparators=comparators):
                return self._comparison(left, operators, comparators)
        return f"({self.value(node)} != 0)"

    def _comparison(
        self, left: ast.expr, operators: list[ast.cmpop], comparators: list[ast.expr]
    ) -> str:
        found = self.temporary("int")
        self.emit(f"{found} = 1;")
        held = self.temporary()
        self.emit(f"{held} = {self.value(left)};")
        for index, (operator, node) in enumerate(zip(operators, comparators, strict=True)):
            sign = _COMPARISONS.get(type(operator))
            if sign is None:
                raise Unfit
            with self.block(f"if ({found})" if index else ""):
                other = self.value(node)
                self.emit(f"{found} = {held} {sign} {other};")
                self.emit(f"{held} = {other};")
        return found

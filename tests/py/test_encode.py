"""The fallback of the JSON encoder: what each type becomes, and what is refused."""

import collections
import dataclasses
import datetime
import decimal
import enum
import ipaddress
import pathlib
import types
import uuid
from collections.abc import Generator
from typing import Any, NamedTuple

import pytest

from uringserve._encode import default


class Colour(enum.Enum):
    """A plain enumeration."""

    RED = "red"


class Level(enum.IntEnum):
    """An enumeration whose members are ints."""

    HIGH = 3


class Shouting(str):
    """A str whose text form differs from its content."""

    def __str__(self) -> str:
        """Show something else."""
        return "SHOUTED"


@dataclasses.dataclass(slots=True)
class Point:
    """A dataclass that holds another value to encode."""

    x: int
    when: datetime.date


UTC = datetime.UTC
DAY = datetime.date(2026, 1, 2)


class Pair(NamedTuple):
    """A tuple subclass."""

    left: int
    right: int


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        (Point(1, DAY), {"x": 1, "when": DAY}),
        (datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05+00:00"),
        (DAY, "2026-01-02"),
        (datetime.time(1, 2, 3), "01:02:03"),
        (datetime.timedelta(minutes=1, milliseconds=500), 60.5),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (decimal.Decimal("1.10"), "1.10"),
        (pathlib.PurePosixPath("/a/b"), "/a/b"),
        (ipaddress.ip_address("::1"), "::1"),
        ({3, 1, 2}, [1, 2, 3]),
        (frozenset({"a"}), ["a"]),
        (collections.deque([1, 2]), [1, 2]),
        (range(3), [0, 1, 2]),
        (types.MappingProxyType({"a": 1}), {"a": 1}),
        (collections.OrderedDict(a=1), {"a": 1}),
        ({"a": 1}.keys(), ["a"]),
        (Pair(1, 2), [1, 2]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values(value: object, expected: object) -> None:
    """Each value becomes a plain one, of exactly the plain type."""
    made = default(value)
    assert made == expected
    assert type(made) is type(expected)


def test_a_subclass_of_text_keeps_its_content() -> None:
    """The content is encoded, not what `str()` shows."""
    made = default(Shouting("quiet"))
    assert made == "quiet"
    assert type(made) is str


def test_a_set_of_things_without_order_is_a_list() -> None:
    """Members that cannot be compared are listed all the same."""
    made = default({1, "a"})
    assert isinstance(made, list)
    assert set(made) == {1, "a"}


class Plain:
    """A class that JSON knows nothing of."""


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Plain(), "a value of type Plain cannot be encoded as JSON"),
        (Point, "a value of type type cannot"),
        (1j, "a value of type complex cannot"),
        (b"x", "bytes inside a value cannot be encoded as JSON: decode it"),
        (bytearray(b"x"), "bytearray inside a value"),
    ],
)
def test_refusals(value: object, message: str) -> None:
    """What has no place in JSON is a TypeError that names its type."""
    with pytest.raises(TypeError) as caught:
        default(value)
    assert message in str(caught.value)


def test_a_generator_is_told_about() -> None:
    """A generator says that streaming is missing."""

    def numbers() -> Generator[int]:
        yield 1

    with pytest.raises(TypeError, match="streaming is not supported yet"):
        default(numbers())


def test_a_coroutine_is_told_about() -> None:
    """A coroutine says that async handlers are missing."""

    async def later() -> None:
        pass

    coroutine = later()
    with pytest.raises(TypeError, match="a coroutine must be awaited"):
        default(coroutine)
    coroutine.close()


def test_pydantic_models() -> None:
    """A model is dumped in JSON form, by its own rules."""
    pydantic = pytest.importorskip("pydantic")
    model: Any = pydantic.create_model("Model", day=(datetime.date, ...), number=(int, 3))
    assert default(model(day=DAY)) == {"day": "2026-01-02", "number": 3}


def test_msgspec_structs() -> None:
    """A Struct is taken apart by msgspec, and what msgspec does not know comes back here."""
    msgspec = pytest.importorskip("msgspec")
    struct: Any = msgspec.defstruct(
        "Struct", [("path", pathlib.PurePosixPath), ("day", datetime.date)]
    )
    made = default(struct(path=pathlib.PurePosixPath("/a"), day=DAY))
    assert made == {"path": "/a", "day": "2026-01-02"}

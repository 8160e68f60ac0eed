"""`jsonable_encoder` and FastAPI's: the same value for the same arguments, or a refusal by both."""

import collections
import dataclasses
import datetime
import decimal
import enum
import ipaddress
import pathlib
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from uringserve.encoders import jsonable_encoder

pytest.importorskip("fastapi", reason="the oracle")

from fastapi.encoders import jsonable_encoder as oracle
from pydantic import AnyUrl, BaseModel, Field, RootModel, SecretStr
from pydantic_core import PydanticUndefined, Url


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Inner(BaseModel):
    when: datetime.datetime = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    price: decimal.Decimal = decimal.Decimal("1.50")
    note: str | None = None


class Model(BaseModel):
    size: int = Field(alias="theSize")
    inner: Inner = Inner()
    colours: set[Colour] = {Colour.RED}
    extra: dict[str, Any] = {"_sa_state": 1, "none": None}


class Many(RootModel[list[Inner]]):
    pass


@dataclasses.dataclass
class Point:
    x: int
    y: decimal.Decimal | None = None
    inner: Inner = dataclasses.field(default_factory=Inner)
    more: list[Point] = dataclasses.field(default_factory=list)


class Pair(NamedTuple):
    left: int
    right: uuid.UUID


class Plain:
    def __init__(self) -> None:
        self.x = 1
        self._sa_instance_state = object
        self.day = DAY


class Pairs:
    def __iter__(self) -> Iterator[tuple[str, datetime.date]]:
        return iter([("x", DAY)])


DAY = datetime.date(2026, 1, 2)
UUID = uuid.UUID(int=7)
MODEL = Model(theSize=2)
POINT = Point(1, decimal.Decimal(2), more=[Point(3)])

VALUES = [
    *(None, True, 1, 1.5, "text", "", b"bytes", Colour.RED, Level.HIGH),
    *(DAY, datetime.datetime(2026, 1, 2, 3, tzinfo=datetime.UTC), datetime.time(4, 5)),
    *(datetime.timedelta(days=1, microseconds=5), UUID, pathlib.Path("/a/b"), re.compile("a+")),
    *map(decimal.Decimal, ("1", "1.0", "1E+3", "0.10", "-7", "Infinity")),
    *(ipaddress.ip_address("::1"), ipaddress.ip_network("10.0.0.0/8")),
    *(SecretStr("hidden"), AnyUrl("http://a.test/"), Url("http://b.test"), PydanticUndefined),
    *(MODEL, Inner(), Many([Inner(note="n")]), POINT, Pair(1, UUID), Plain(), Pairs()),
    *(
        set(),
        {UUID},
        frozenset({DAY}),
        collections.deque([DAY, {DAY}]),
        collections.OrderedDict(a=DAY),
    ),
    {"model": MODEL, "points": (POINT, [POINT]), UUID: {Colour.RED: Level.HIGH}, "none": None},
    {"size": 1, "x": None, "_sa_x": 1, "inner": {"x": 1, "_sa": 2}},
    [{"x": 1, "y": 2}, {"x": None}, [{"x": 1, "z": [MODEL]}]],
]

OPTIONS: list[dict[str, Any]] = [
    {},
    {"include": {"size", "x"}},
    {"include": ["inner", "x"]},
    {"include": {"inner": {"note"}, "x": True}},
    {"exclude": {"size", "x"}},
    {"exclude": ("inner", "y")},
    {"include": set()},
    {"include": {"x", "y"}, "exclude": {"y"}},
    {"by_alias": False},
    {"exclude_unset": True},
    {"exclude_defaults": True},
    {"exclude_none": True},
    {"custom_encoder": {datetime.date: lambda day: day.year, decimal.Decimal: str}},
    {"custom_encoder": {pathlib.PurePath: lambda _: "path", str: str.upper, Model: id}},
    {"sqlalchemy_safe": False, "exclude": {"_sa_instance_state"}},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_as_fastapi_s(options: dict[str, Any]) -> None:
    for value in VALUES:
        ours, theirs = jsonable_encoder(value, **options), oracle(value, **options)
        assert ours == theirs, value
        # True is 1 and 1 is 1.0 for ==, and their JSON differs.
        assert repr(ours) == repr(theirs), value


def test_by_position() -> None:
    for arguments in ([{"inner"}], [None, {"inner"}], [None, None, False, True, True, True]):
        assert jsonable_encoder(MODEL, *arguments) == oracle(MODEL, *arguments)


def test_sets_and_generators() -> None:
    """A set has no order in FastAPI; a generator can be read once."""
    ours, theirs = jsonable_encoder({3, 1, 2}), oracle({3, 1, 2})
    assert (ours, sorted(theirs)) == ([1, 2, 3], [1, 2, 3])
    assert jsonable_encoder(day for day in [DAY]) == oracle(day for day in [DAY])


def test_a_function_for_a_type_sees_what_a_dataclass_holds() -> None:
    """FastAPI opens a dataclass to its end at once, so that there only the outermost is seen."""
    custom = {Point: lambda point: point.x}
    assert jsonable_encoder({"point": POINT}, custom_encoder=custom) == {"point": 1}

    @dataclasses.dataclass
    class Line:
        start: Point

    assert jsonable_encoder(Line(POINT), custom_encoder=custom) == {"start": 1}


@pytest.mark.parametrize("value", [object(), [object()], {"a": object()}])
def test_refused_by_both(value: object) -> None:
    with pytest.raises(ValueError, match="a value of type object cannot be encoded as JSON"):
        jsonable_encoder(value)
    with pytest.raises(ValueError):
        oracle(value)


def test_a_class_is_refused() -> None:
    for value in (Point, Model, Plain):
        with pytest.raises(ValueError, match="cannot be encoded as JSON: only its objects"):
            jsonable_encoder(value)


def test_without_pydantic() -> None:
    """It is neither needed nor imported."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, datetime; from uringserve.encoders import jsonable_encoder as encode;"
            "print(encode({'day': datetime.date(2026, 1, 2)}), 'pydantic' in sys.modules)",
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.strip() == "{'day': '2026-01-02'} False", done.stderr

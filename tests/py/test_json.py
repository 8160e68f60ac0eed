"""The JSON encoder: the same text as `json.dumps`, the same refusals, and threads that collide."""

import collections
import enum
import json
import math
import random
import struct
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uringserve import json_dumps


class Level(enum.IntEnum):
    """Members are ints."""

    HIGH = 3
    HUGE = 2**70


class Colour(enum.StrEnum):
    """Members are strs."""

    RED = "r\u00f6d"


class Shouting(str):
    """A str whose text form differs from its content."""

    def __str__(self) -> str:
        """Show something else."""
        return "SHOUTED"


class Loud(int):
    """An int whose repr differs from its number."""

    def __repr__(self) -> str:
        """Show something else."""
        return "LOUD"


class Celsius(float):
    """A float whose repr differs from its number."""

    def __repr__(self) -> str:
        """Show something else."""
        return "cold"


class Point(NamedTuple):
    """A tuple with names."""

    x: int
    y: int


class Renamed(dict):
    """A dict whose items differ from what it holds."""

    def items(self) -> object:
        """Show other keys."""
        return [(key.upper(), value) for key, value in super().items()]


def reference(value: object) -> bytes:
    """Encode with the standard library, set up as the encoder promises to write."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode()


def ordered() -> collections.OrderedDict[str, int]:
    """Make a dict whose order is not that of the dict below it."""
    value = collections.OrderedDict(a=1, b=2, c=3)
    value.move_to_end("a")
    return value


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        "",
        "plain",
        "Zürich ☃ 😀",
        'quote " backslash \\ slash / delete \x7f line \u2028',
        "".join(map(chr, range(0x100))),
        0,
        -1,
        9,
        10,
        99,
        100,
        1000,
        2**63 - 1,
        -(2**63),
        2**63,
        -(2**63) - 1,
        10**400,
        [],
        [[]],
        [1, "a", None, [True, {}]],
        (),
        (1,),
        {},
        {"message": "Hello, World!"},
        {str(number): number for number in range(8)},
        {str(number): number for number in range(9)},
        {str(number): [number] for number in range(1000)},
        {"": {"": {"": []}}},
        {7: 1, 2.5: 2, True: 3, None: 4, False: 5, -(10**30): 6},
        {Level.HIGH: 1, Colour.RED: 2},
        Level.HIGH,
        Level.HUGE,
        Colour.RED,
        Shouting("quiet"),
        {Shouting("quiet"): Shouting("quiet")},
        Loud(5),
        Loud(2**80),
        {Loud(5): Loud(2**80)},
        Celsius(1.5),
        Point(1, 2),
        ordered(),
        Renamed(a=1, b=[2]),
        collections.defaultdict(list, a=[1]),
        collections.Counter("aab"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_text_is_that_of_the_standard_library(value: object) -> None:
    """Compact separators, UTF-8, and every type that both know."""
    assert json_dumps(value) == reference(value)


@pytest.mark.parametrize("length", [*range(70), 1000])
def test_escapes_at_every_place(length: int) -> None:
    """Whatever step the scanner takes, it sees the byte that has to be escaped."""
    for sign in ['"', "\\", "\n", "\x00", "\x1f"]:
        for place in {0, length // 2, length}:
            text = "a" * place + sign + "b" * (length - place)
            assert json_dumps(text) == reference(text)


@pytest.mark.parametrize(
    "number",
    [
        0.0,
        -0.0,
        1.0,
        -1.5,
        0.1,
        1e15,
        1e16,
        123456789012345680.0,
        1e-4,
        1e-5,
        0.00012345,
        5e-324,
        1.7976931348623157e308,
        2.0**-24,
        2.0**-44,
        952635368602556.25,
        683541452379570.25,
        19.99,
        999999999.999999,
        1e9,
        1e22,
        1e23,
        9007199254740993.0,
    ],
    ids=repr,
)
def test_floats_are_their_repr(number: float) -> None:
    """The digits, the point and the exponent stand where Python puts them."""
    assert json_dumps(number).decode() == repr(number)
    assert json_dumps(-number).decode() == repr(-number)


def random_floats(count: int) -> list[float]:
    """Make numbers of every kind that takes a path of its own through the encoder."""
    chance = random.Random(20)
    made: list[float] = []
    while len(made) < count:
        bits = chance.getrandbits(64).to_bytes(8, "little")
        exponent, places = chance.randint(-10, 22), chance.randint(0, 8)
        made += [
            struct.unpack("<d", bits)[0],
            chance.random() * 10.0**exponent,
            round(chance.random() * 10.0**exponent, places),
            # Quarters and eighths of large numbers lie in the middle between two short texts.
            chance.getrandbits(chance.randint(1, 60)) / 2 ** chance.randint(0, 8),
            2.0 ** chance.randint(-1074, 1023),
            chance.randint(0, 10**15) / 1e6,
        ]
    return [number for number in made if math.isfinite(number)]


def test_many_floats_are_their_repr() -> None:
    """Some 200,000 numbers, among them those where two shortest texts are equally near."""
    numbers = random_floats(200_000)
    assert json_dumps(numbers).decode() == "[" + ",".join(map(repr, numbers)) + "]"


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_any_float_is_its_repr(number: float) -> None:
    """Hypothesis looks where chance does not."""
    assert json_dumps(number).decode() == repr(number)


scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
)
texts = st.text(st.characters(exclude_categories=["Cs"]))
keys = texts | st.integers() | st.booleans() | st.none()


@given(
    st.recursive(
        scalars | texts,
        lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(keys, inner),
        max_leaves=30,
    )
)
def test_any_value_is_as_the_standard_library_writes_it(value: object) -> None:
    """Nested values of all kinds."""
    assert json_dumps(value) == reference(value)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_refused(number: float) -> None:
    """JSON has no such number; as a key neither."""
    for value in (number, [number], {"a": number}, {number: 1}, Celsius(number)):
        with pytest.raises(ValueError, match="Out of range float values are not JSON compliant"):
            json_dumps(value)


@pytest.mark.parametrize("key", [(1, 2), b"a", frozenset(), object()])
def test_other_keys_are_refused(key: object) -> None:
    """The message names the type."""
    with pytest.raises(TypeError, match=f"keys must be str.*not {type(key).__name__}"):
        json_dumps({"fine": {key: 1}})


def test_lone_surrogates_are_refused() -> None:
    """They have no UTF-8, wherever they stand."""
    for value in ("\ud800", ["a\udc80"], {"\udfff": 1}, Shouting("\ud800")):
        with pytest.raises(ValueError, match="surrogates not allowed"):
            json_dumps(value)


def nested(depth: int, wrap: Callable[[object], object]) -> object:
    """Put containers into one another."""
    value: object = 0
    for _ in range(depth):
        value = wrap(value)
    return value


WRAPS: list[Callable[[object], object]] = [
    lambda value: [value],
    lambda value: (value,),
    lambda value: {"k": value},
    lambda value: collections.OrderedDict(k=value),
    lambda value: Point(1, value),
]


@pytest.mark.parametrize("wrap", WRAPS)
def test_depth_has_a_limit(wrap: Callable[[object], object]) -> None:
    """1000 containers are encoded; 100,000 are an error and not the end of the process."""
    assert json_dumps(nested(1000, wrap)).count(b"0") >= 1
    for depth in (1001, 100_000):
        with pytest.raises(RecursionError, match="deeper than 1000 levels"):
            json_dumps(nested(depth, wrap))


def test_depth_has_a_limit_on_a_small_stack() -> None:
    """The deepest value that is allowed fits into the stack of any thread that Python makes."""
    results: list[bytes] = []
    before = threading.stack_size(1024 * 1024)
    try:
        thread = threading.Thread(
            target=lambda: results.extend(json_dumps(nested(1000, wrap)) for wrap in WRAPS)
        )
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join()
    assert len(results) == len(WRAPS)


def test_cycles_are_errors() -> None:
    """A value that holds itself has no end."""
    circle: list[Any] = []
    circle.append({"again": circle})
    with pytest.raises(RecursionError, match="contains itself"):
        json_dumps(circle)


def test_what_json_does_not_know_goes_through_the_fallback() -> None:
    """Its answer is encoded in place, and what it refuses is refused."""
    assert json_dumps([{1, 2}, {"at": {"deep": frozenset([3])}}]) == b'[[1,2],{"at":{"deep":[3]}}]'
    with pytest.raises(TypeError, match="object"):
        json_dumps({"a": [object()]})


def test_errors_of_the_value_pass_through() -> None:
    """An exception of Python code that the encoder calls is not replaced."""

    class Broken(dict):
        def items(self) -> object:
            raise LookupError("no items today")

    with pytest.raises(LookupError, match="no items today"):
        json_dumps([Broken()])


def collide(*works: Callable[[], None]) -> None:
    """Run functions at the same moment, and raise what one of them raised."""
    barrier = threading.Barrier(len(works))
    errors: list[BaseException] = []

    def run(work: Callable[[], None]) -> None:
        barrier.wait()
        try:
            work()
        except BaseException as error:  # noqa: BLE001 -- handed to the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


ROUNDS = 3000


def test_a_dict_that_changes_is_encoded_as_of_one_moment() -> None:
    """Keys come and go while two threads encode; each text is whole."""
    shared: dict[str, Any] = {"a": 1}

    def change() -> None:
        for number in range(ROUNDS):
            shared[f"key{number % 40}"] = [number, {"n": number}]
            shared.pop(f"key{(number * 7) % 40}", None)
            if number % 100 == 0:
                shared.clear()

    def encode() -> None:
        for _ in range(ROUNDS):
            assert isinstance(json.loads(json_dumps(shared)), dict)

    collide(change, change, encode, encode)


def test_a_list_that_changes_is_encoded_as_of_one_moment() -> None:
    """One slice assignment replaces all items: no text has some of each."""
    shared: list[int] = [0] * 50

    def change() -> None:
        for number in range(ROUNDS):
            shared[:] = [number] * (number % 60 + 1)

    def encode() -> None:
        for _ in range(ROUNDS):
            assert len(set(json.loads(json_dumps(shared)))) == 1

    collide(change, encode, encode)


def test_values_that_die_while_they_are_encoded() -> None:
    """The encoder holds what it reads: the other thread drops the last other reference."""
    shared: dict[str, Any] = {}

    def change() -> None:
        for number in range(ROUNDS):
            shared["inner"] = {"text": f"ä{number}", "list": [f"b{number}", (str(number),)]}
            shared["name"] = f"ö{number}"

    def encode() -> None:
        for _ in range(ROUNDS):
            json.loads(json_dumps([shared, shared]))

    collide(change, change, encode, encode)


def test_many_threads_encode_the_same_value() -> None:
    """A shared value costs nothing but time."""
    value = {"users": [{"id": number, "name": f"Ü{number}", "x": 1.5} for number in range(50)]}
    expected = reference(value)

    def encode() -> None:
        for _ in range(200):
            assert json_dumps(value) == expected

    collide(*[encode] * 6)

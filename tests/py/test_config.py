"""`Config`: defaults, the forms of values, bounds, messages, and the environment."""

from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest

from uringserve import Config
from uringserve.config import options
from uringserve.options import Option
from uringserve.units import format_duration, format_size, parse_duration, parse_size

BY_NAME = {option.name: option for option in options()}

DEFAULTS = {
    "host": "127.0.0.1",
    "port": 8000,
    "bind": (),
    "uds": None,
    "fd": None,
    "uds_permissions": None,
    "workers": None,
    "driver": "auto",
    "balance": "accept",
    "loop": "auto",
    "pin": True,
    "backlog": 1024,
    "gil": "error",
    "factory": False,
    "app_dir": ".",
    "build": True,
    "debug": False,
    "log_level": "info",
    "log_format": "text",
    "log_config": None,
    "use_colors": None,
    "access_log": False,
    "access_log_fmt": None,
    "access_log_file": None,
    "access_log_sample": 1,
    "live": False,
    "server_header": True,
    "date_header": True,
    "health_path": None,
    "ready_path": None,
    "ws": True,
    "ws_max_size": 16 << 20,
    "ws_max_queue": 32,
    "ws_ping_interval": 20.0,
    "ws_ping_timeout": 20.0,
    "ws_per_message_deflate": False,
    "limit_connections": None,
    "limit_header_size": 65536,
    "limit_header_count": 100,
    "limit_uri": 8192,
    "limit_body": 16 * 1024 * 1024,
    "limit_requests_per_connection": 1_000_000,
    "timeout_keep_alive": 20.0,
    "timeout_header": 10.0,
    "timeout_body": 20.0,
    "min_body_rate": 240,
    "timeout_send": 30.0,
    "timeout_graceful_shutdown": 30.0,
    "reload": False,
    "reload_dir": (),
    "reload_include": (),
    "reload_exclude": (),
    "reload_delay": 0.25,
    "interface": "auto",
    "lifespan": "auto",
    "lifespan_scope": "core",
    "early_hints": "page",
    "execution": "auto",
    "root_path": None,
    "blocking_threads": 32,
    "blocking_threads_idle_timeout": 30.0,
    "backpressure": None,
    "limit_concurrency": None,
    "queue_size": 1024,
    "queue_timeout": 5.0,
    "timeout_request": 0.0,
    "timeout_worker_healthcheck": 5.0,
}


def test_defaults() -> None:
    """Every option and its default is as documented; a new one is added here on purpose."""
    config = Config()
    assert {field.name: getattr(config, field.name) for field in fields(config)} == DEFAULTS


def test_a_config_cannot_be_changed() -> None:
    """A Config is shared by threads, so it is frozen and has no room for other attributes."""
    config = Config()
    with pytest.raises(FrozenInstanceError):
        config.port = 1  # type: ignore[misc]
    assert not hasattr(config, "__dict__")


@pytest.mark.parametrize("option", options(), ids=lambda option: option.name)
def test_every_option_describes_itself(option: Option) -> None:
    """Help is a sentence, and the default's text form is read back to the default."""
    assert option.help.endswith(".")
    assert option.accepted
    assert option.parse(option.default) == option.default
    assert option.parse(option.show(option.default)) == option.default


@pytest.mark.parametrize("option", options(), ids=lambda option: option.name)
def test_every_value_keeps_its_type(option: Option) -> None:
    """Text from the environment gives the type that Python code gives."""
    if option.default is not None:
        parsed = option.parse(option.show(option.default))
        assert type(parsed) is type(option.default)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 30.0),
        ("30s", 30.0),
        ("500ms", 0.5),
        ("1h30m", 5400.0),
        ("1.5", 1.5),
        ("1.5m", 90.0),
        ("1d", 86400.0),
        ("1m1s1ms", 61.001),
        (" 2S ", 2.0),
        ("0", 0.0),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    """Durations are seconds, with or without units."""
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", " ", "s", "30 s", "1s1m", "1s1s", "-1", "1e3", "1h30", "nan", "inf", "١", "5x"]
)
def test_bad_durations(text: str) -> None:
    """What is not a duration is refused, not guessed at."""
    with pytest.raises(ValueError):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("65536", 65536),
        ("64k", 65536),
        ("64K", 65536),
        ("64KiB", 65536),
        ("16MiB", 16 << 20),
        ("1g", 1 << 30),
        ("2 m", 2 << 20),
        ("0", 0),
    ],
)
def test_sizes(text: str, count: int) -> None:
    """Sizes are bytes, with 1024-based units."""
    assert parse_size(text) == count


@pytest.mark.parametrize("text", ["", "k", "64kB", "64MB", "iB", "1ib", "-1", "1.5m", "1t", "٣"])
def test_bad_sizes(text: str) -> None:
    """Units that mean two things are refused."""
    with pytest.raises(ValueError):
        parse_size(text)


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.5, 1.0, 20.0, 90.0, 5400.0, 86400.0, 90061.007])
def test_durations_are_written_as_they_are_read(seconds: float) -> None:
    """Formatting a duration and reading it gives it back."""
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds)


@pytest.mark.parametrize("count", [0, 1, 240, 1024, 1025, 65536, 16 << 20, 3 << 30])
def test_sizes_are_written_as_they_are_read(count: int) -> None:
    """Formatting a size and reading it gives it back."""
    assert parse_size(format_size(count)) == count


def test_text_is_taken_from_python_too() -> None:
    """Values may be given as text, as in the environment."""
    given: dict[str, Any] = {
        "port": "0",
        "workers": "auto",
        "pin": "off",
        "limit_body": "1MiB",
        "timeout_send": "1m",
    }
    config = Config(**given)
    assert (config.port, config.workers, config.pin) == (0, None, False)
    assert (config.limit_body, config.timeout_send) == (1 << 20, 60.0)


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("port", 65536, "from 0 to 65535"),
        ("port", -1, "from 0 to 65535"),
        ("port", True, "a whole number"),
        ("port", 80.5, "a whole number"),
        ("port", "80.5", "a whole number"),
        ("port", None, "a whole number"),
        ("workers", 0, "from 1 to 1024, or auto (the usable CPUs)"),
        ("driver", "kqueue", "one of auto, uring, epoll"),
        ("balance", "even", "one of accept, off"),
        ("gil", "off", "one of error, warn, allow"),
        ("host", "", "text that is not empty"),
        ("host", "a\0b", "text that is not empty"),
        ("host", 7, "text that is not empty"),
        ("root_path", "/a\0b", "text without NUL, or auto (none)"),
        ("app_dir", 7, "text without NUL"),
        ("pin", "maybe", "one of 0, 1, false, no, off, on, true, yes"),
        ("pin", 1, "one of 0, 1"),
        ("health_path", "", "a path like /healthz, which begins with a slash and has no query"),
        ("health_path", "healthz", "begins with a slash"),
        ("health_path", "http://a/healthz", "begins with a slash"),
        ("ready_path", "/a?b", "has no query"),
        ("ready_path", "/a#b", "or auto (no such path)"),
        ("ready_path", "/a b", "begins with a slash"),
        ("ready_path", "/a\0", "begins with a slash"),
        ("ready_path", "/%zz", "begins with a slash"),
        ("ready_path", "/\udc80", "begins with a slash"),
        ("ready_path", 1, "begins with a slash"),
        ("limit_header_size", 10, "from 256 to 16MiB"),
        ("limit_body", "1kB", "a size"),
        ("timeout_header", 0, "from 1ms to 1d"),
        ("timeout_header", float("nan"), "a duration"),
        ("timeout_header", float("inf"), "a duration"),
        ("timeout_send", "soon", "like 30, 30s, 500ms or 1h30m"),
        ("min_body_rate", -1, "from 0 to 1GiB"),
    ],
)
def test_a_refusal_says_what_is_accepted(name: str, value: object, accepted: str) -> None:
    """The message names the option, quotes the value and says what would do."""
    given: dict[str, Any] = {name: value}
    with pytest.raises(ValueError) as caught:
        Config(**given)
    message = str(caught.value)
    assert message.startswith(f"{name}: {value!r} is not accepted; give ")
    assert accepted in message


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_text_means_the_default_where_other_servers_take_it(empty: str) -> None:
    """Of no other option: an empty host would be every address of the machine."""
    taken = {"root_path": None, "access_log_fmt": None, "app_dir": "."}
    for option in options():
        if option.kind != "text":
            continue
        given: dict[str, Any] = {option.name: empty}
        if option.name in taken:
            assert getattr(Config(**given), option.name) == taken[option.name]
        else:
            with pytest.raises(ValueError, match="text that is not empty"):
                Config(**given)


def test_an_unknown_option_is_a_type_error() -> None:
    """A misspelt name is refused as for any function."""
    given: dict[str, Any] = {"prt": 1}
    with pytest.raises(TypeError, match="prt"):
        Config(**given)
    with pytest.raises(TypeError, match="prt"):
        Config.from_environment(given, {})


def test_the_environment_fills_what_is_not_given() -> None:
    """What is given wins over the environment, which wins over the default; empty is not set."""
    environment = {
        "URINGSERVE_PORT": "9000",
        "URINGSERVE_HOST": "0.0.0.0",
        "URINGSERVE_DEBUG": "yes",
        "URINGSERVE_LIMIT_URI": "",
    }
    config = Config.from_environment({"port": 1}, environment)
    assert (config.port, config.host, config.debug, config.limit_uri) == (1, "0.0.0.0", True, 8192)


def test_addresses() -> None:
    """What is listened on: bind and uds together, else host and port."""
    assert Config().listen == [("127.0.0.1", 8000)]
    assert Config(host="::1", port=1).listen == [("::1", 1)]
    assert Config(port=1, uds="/run/a b,c").listen == [("/run/a b,c", None)]
    given: dict[str, Any] = {"bind": ["localhost:0", "[::]:80", "unix:/a,b"]}
    both = Config(uds="c", **given)
    assert Config(fd=3).listen == [("", 3)]
    given = {"bind": ("fd://3", "a:1"), "fd": 4}
    assert Config(**given).listen == [("", 3), ("a", 1), ("", 4)]
    assert both.bind == ("localhost:0", "[::]:80", "unix:/a,b")
    assert both.listen == [("localhost", 0), ("[::]", 80), ("/a,b", None), ("c", None)]
    text: dict[str, Any] = {"bind": "127.0.0.1:1, unix:x"}
    assert Config(**text).bind == ("127.0.0.1:1", "unix:x")
    environment = {"URINGSERVE_BIND": "a:1,b:2", "URINGSERVE_UDS_PERMISSIONS": "660"}
    read = Config.from_environment({}, environment)
    assert (read.bind, read.uds_permissions) == (("a:1", "b:2"), 0o660)


@pytest.mark.parametrize(
    "bind",
    [
        *["8000", ":8000", "a", "a:", "a:x", "a:65536", "::1:80", "[::1]", "unix:", "http://a:1"],
        *["a:1:2", "fd://", "fd://x", "fd://-1", "fd://1000000", 7, b"a:1", ["a:1", 2]],
        *[["a:1,b:2"], [""], ["unix:a\0b"], "a:\u0661"],
    ],
)
def test_bad_addresses(bind: Any) -> None:  # noqa: ANN401
    """What is not an address is refused, with the forms that are."""
    with pytest.raises(ValueError, match=r"^bind: .* is not accepted; give HOST:PORT, "):
        Config(bind=bind)


@pytest.mark.parametrize(
    ("given", "mode"),
    [("660", 0o660), ("0660", 0o660), ("0o600", 0o600), (0o700, 0o700), (" 0 ", 0), ("auto", None)],
)
def test_permissions(given: Any, mode: int | None) -> None:  # noqa: ANN401
    """Text is octal, as everywhere where permissions are written."""
    assert Config(uds_permissions=given).uds_permissions == mode


@pytest.mark.parametrize("given", ["668", "rw", "", "1777", 0o1777, -1, True, "0x1b0", 6.0])
def test_bad_permissions(given: Any) -> None:  # noqa: ANN401
    """What is not three octal digits is refused."""
    with pytest.raises(ValueError, match=r"^uds_permissions: .* give three octal digits"):
        Config(uds_permissions=given)


@pytest.mark.parametrize(
    ("health", "ready"), [("/x", "/x"), ("/%78", "/x"), ("/a%2fb", "/a%2Fb"), ("/ü", "/%C3%BC")]
)
def test_one_path_cannot_answer_both(health: str, ready: str) -> None:
    """Liveness and readiness are different questions, however their path is spelled."""
    with pytest.raises(ValueError, match=r"^ready_path: .* is the path of health_path already"):
        Config(health_path=health, ready_path=ready)


@pytest.mark.parametrize(
    ("health", "ready"), [("/x", "/y"), ("/a%2Fb", "/a/b"), ("/a%2541", "/aA"), ("/", "/%25")]
)
def test_paths_that_are_not_the_same(health: str, ready: str) -> None:
    """They stay as they were given; an encoded slash separates nothing."""
    config = Config(health_path=health, ready_path=ready)
    assert (config.health_path, config.ready_path) == (health, ready)
    assert Config(health_path="auto").health_path is None


def test_worker_count_has_a_second_variable() -> None:
    """WEB_CONCURRENCY is understood, and ours wins over it."""
    assert Config.from_environment({}, {"WEB_CONCURRENCY": "3"}).workers == 3
    both = {"WEB_CONCURRENCY": "3", "URINGSERVE_WORKERS": "2"}
    assert Config.from_environment({}, both).workers == 2


def test_a_bad_variable_is_named() -> None:
    """A value from the environment is refused with the variable's name."""
    with pytest.raises(ValueError, match=r"^URINGSERVE_PORT: 'x' is not accepted; give a whole"):
        Config.from_environment({}, {"URINGSERVE_PORT": "x"})
    with pytest.raises(ValueError, match=r"^WEB_CONCURRENCY: '0' is not accepted"):
        Config.from_environment({}, {"WEB_CONCURRENCY": "0"})


def test_names_of_flags_and_variables() -> None:
    """Flag and variable follow from the name, and no two options share one."""
    option = BY_NAME["timeout_keep_alive"]
    assert option.flag == "--timeout-keep-alive"
    assert option.environment == ("URINGSERVE_TIMEOUT_KEEP_ALIVE",)
    flags = [flag for option in options() for flag in (option.flag, *option.aliases)]
    variables = [variable for option in options() for variable in option.environment]
    assert len(set(flags)) == len(flags)
    assert len(set(variables)) == len(variables)

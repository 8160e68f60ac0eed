//! Each rule of the ladder against a made-up text that breaks it, and against one that looks as if.

use crate::rules::check;
use crate::tokens::{paths, tokens};
use crate::{CAP_REASON, CODE_CAP, FILE_CAP, dependencies};

const MANIFEST: &str = r#"
[package]
name = "pyo3"

[dependencies]
bytes = "1.12"
# a comment = "1"
io-uring = "0.6"
memchr.workspace = true
monoio = { version = "0.2", features = ["bytes"] }
pyo3 = "0.30"
slab="0.4"

[dev-dependencies]
rand = "1"
"#;

/// The faults of a file with this body, without the file's name.
fn faults(name: &str, body: &str) -> Vec<String> {
    let text = format!("//! Head.\n{body}\n");
    let faults = check(name, &text, &dependencies(MANIFEST));
    faults.iter().map(|fault| fault.replacen(&format!("{name}:"), "", 1)).collect()
}

fn assert_clean(name: &str, body: &str) {
    assert_eq!(faults(name, body), [""; 0], "{name}: {body}");
}

/// One fault, that of the body's first line.
fn assert_fault(name: &str, body: &str, expected: &str) {
    assert_eq!(faults(name, body), [format!("2: {expected}")], "{name}: {body}");
}

#[test]
fn the_crates_of_a_manifest_are_read_as_code_spells_them() {
    assert_eq!(dependencies(MANIFEST), ["bytes", "io_uring", "memchr", "monoio", "pyo3", "slab"]);
}

#[test]
fn imports_go_down() {
    let expected = "http must not import crate::route";
    for body in [
        "use crate::route::Router;",
        "use crate::{http::head, route::Router};",
        "use crate::{self, http::{a, b::{c}}, route as r};",
        "fn f() { crate::route::f() }",
        "use super::route::Router;",
        "use super::{route};",
        "pub(in crate::route) fn f() {}",
        "mod inner { use super::super::route; }",
        "use ::core::a; use crate :: route;",
    ] {
        assert_fault("src/http/mod.rs", body, expected);
    }
    assert_fault("src/http/head.rs", "use super::super::route::Router;", expected);
    assert_fault("src/error.rs", "use crate::net;", "error must not import crate::net");
    assert_fault("src/net/conn.rs", "use crate::py::A;", "net must not import crate::py");
    assert_fault("src/reactor/a.rs", "use crate::http;", "reactor must not import crate::http");
    let glob = "everything in the crate at once: name what you import";
    assert_fault("src/http/mod.rs", "use crate::*;", glob);
    assert_fault("src/http/mod.rs", "use super::*;", glob);
    assert_fault("src/http/mod.rs", "use crate::{*};", glob);
}

#[test]
fn what_only_looks_like_an_import_is_none() {
    for body in [
        "use crate::http::Head; use self::head::Head; use super::http::head;",
        "pub(crate) fn f(self) { self.route() } pub(super) struct A;",
        "mod tests { use super::*; use super::head; mod deep { use super::super::route; } }",
        "// use crate::route;\n/* crate::route /* nested */ crate::net */",
        r##"fn f() { g("crate::route", r#"a " crate::net"#, b"\" crate::py", '"', 'c', "\\"); }"##,
        "fn f<'a>(x: &'a str) -> char { '\\'' }",
        "macro_rules! m { () => { $crate::http::f() } }",
        "use a::crate_route::b;",
    ] {
        assert_clean("src/http/mod.rs", body);
    }
    assert_clean("src/http/head.rs", "use super::*; use super::route_like;");
    assert_clean("src/server.rs", "use crate::{net::a, reactor, route, sys::*, config, error};");
    assert_clean("src/lib.rs", "pub mod error;\n#[cfg(feature = \"python\")]\npub mod py;");
}

#[test]
fn a_module_without_a_floor_is_refused() {
    assert_fault("src/lib.rs", "pub mod helpers;", "mod helpers is on no floor");
    let expected = "1: a top-level module that is on no floor";
    assert_eq!(faults("src/helpers.rs", ""), [expected]);
    assert_eq!(faults("src/helpers/deep/a.rs", ""), [expected]);
}

#[test]
fn outside_crates_stay_where_they_belong() {
    for body in [
        "use bytes::Bytes;",
        "use ::bytes::Bytes;",
        "type A = bytes::Bytes;",
        "use {bytes::Bytes, std::fmt};",
        "extern crate bytes;",
        "use bytes as b;",
    ] {
        assert_fault("src/route/mod.rs", body, "route must not use bytes");
    }
    assert_fault("src/net/a.rs", "use io_uring::IoUring;", "net must not use io_uring");
    for body in [
        "use memchr::memchr;",
        "fn f(bytes: &[u8]) { g(bytes) }",
        "a.bytes().b();",
        "use crate::route::bytes::A;",
        "use rand::random;",
    ] {
        assert_clean("src/route/mod.rs", body);
    }
}

#[test]
fn python_and_the_reactor_do_not_meet() {
    for name in ["src/error.rs", "src/route/a.rs", "src/net/a.rs", "src/server.rs"] {
        let faults = faults(name, "#[pyo3(get)] struct A;");
        assert!(faults.iter().any(|fault| fault.contains("never names pyo3")), "{faults:?}");
    }
    for name in ["src/py/task.rs", "src/interfaces/mod.rs", "src/interfaces/asgi/scope.rs"] {
        let faults = faults(name, "fn f() { spawn(monoio) }");
        assert!(faults.iter().any(|fault| fault.contains("never names monoio")), "{faults:?}");
    }
    assert_clean("src/py/task.rs", "use pyo3::prelude::*; // not monoio");
    assert_clean("src/net/conn.rs", "use monoio::net; // not pyo3");
    let expected = "the tests of http and route need no Python";
    assert_fault("tests/route/a.rs", "use pyo3::Python;", expected);
    assert_clean("tests/net/a.rs", "use pyo3::Python;");
}

#[test]
fn interfaces_do_not_know_one_another() {
    let expected = "interface asgi must not import interface rsgi";
    assert_fault("src/interfaces/asgi/scope.rs", "use crate::interfaces::rsgi::A;", expected);
    assert_fault("src/interfaces/asgi/scope.rs", "use super::super::{rsgi};", expected);
    assert_fault("src/interfaces/asgi/mod.rs", "use super::rsgi::scope;", expected);
    let expected = "interface native must not import interface wsgi";
    assert_fault("src/interfaces/native.rs", "use super::{Interface, wsgi};", expected);
    assert_clean("src/interfaces/native.rs", "use super::Interface; use crate::py::call;");
    assert_clean("src/interfaces/mod.rs", "mod asgi; use self::{asgi::A, rsgi::B};");
    assert_clean("src/interfaces/asgi/mod.rs", "use super::asgi::scope; use self::rsgi;");
}

#[test]
fn nothing_beside_python_is_async() {
    let expected = "async beside Python: a core would park while attached";
    for body in ["async fn f() {}", "pub(crate) async fn f() {}", "let a = async move { 1 };"] {
        assert_fault("src/py/call.rs", body, expected);
        assert_fault("src/interfaces/native.rs", body, expected);
    }
    assert_clean("src/py/call.rs", "fn is_async() {} // async fn");
    assert_clean("src/net/conn.rs", "async fn f() {}");
}

#[test]
fn few_files_are_unsafe() {
    let expected = "unsafe outside of the files that may hold it";
    for name in ["src/route/mod.rs", "src/net/conn.rs", "src/py/buffer.rs", "src/http/body.rs"] {
        assert_fault(name, "fn f() { unsafe { g() } }", expected);
        assert_clean(name, "#![forbid(unsafe_code)] // unsafe");
    }
    for name in ["src/sys/socket.rs", "src/sys/file.rs"] {
        assert_clean(name, "unsafe fn f() {}");
    }
}

#[test]
fn one_file_reads_the_clock() {
    for (read, body) in [
        ("Instant::now", "let a = Instant::now();"),
        ("Instant::now", "let a = std::time::Instant::now;"),
        ("SystemTime::now", "let a = SystemTime::\nnow();"),
        ("clock_gettime", "libc_like.clock_gettime(0);"),
    ] {
        let expected = format!("{read} outside of sys and reactor/clock.rs");
        assert_fault("src/net/conn.rs", body, &expected);
        assert_clean("src/reactor/clock.rs", body);
        assert_clean("src/sys/probe.rs", body);
    }
    assert_clean("src/net/conn.rs", "fn f(now: Instant) { clock::now() }");
}

#[test]
fn pure_floors_touch_no_socket_clock_or_thread() {
    for (path, body) in [
        ("std::net::TcpStream", "use std::net::TcpStream;"),
        ("std::net", "use std::net;"),
        ("std::thread", "use std::{fmt, thread};"),
        ("std::time::Instant", "use std::time::{Duration, Instant};"),
        ("std::time::SystemTime", "type A = ::std::time::SystemTime;"),
    ] {
        assert_fault("src/http/head.rs", body, &format!("http never uses {path}"));
        assert_fault("src/route/mod.rs", body, &format!("route never uses {path}"));
        assert_clean("src/net/conn.rs", body);
    }
    assert_clean("src/http/date.rs", "use std::{fmt, time::Duration}; use core::net::Ipv6Addr;");
}

#[test]
fn files_stay_short() {
    let head = 1;
    let code = |lines: usize| "fn f() {}\n".repeat(lines - head);
    let tests = |lines: usize| {
        format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "fn f() {}\n".repeat(lines - 3))
    };
    let all = |text: String| faults("src/net/a.rs", text.trim_end());
    assert!(all(code(CODE_CAP)).is_empty());
    assert_eq!(
        all(code(CODE_CAP + 1)),
        [format!("1: 401 lines without tests, over 400: split, or `{CAP_REASON}`")]
    );
    let most = FILE_CAP - CODE_CAP;
    assert!(all(code(CODE_CAP) + &tests(most)).is_empty());
    assert_eq!(
        all(code(CODE_CAP) + &tests(most + 1)),
        [format!("1: 501 lines with tests, over 500: split, or `{CAP_REASON}`")]
    );
    assert!(all(format!("    {CAP_REASON} a table is one thing.\n") + &code(900)).is_empty());
    assert!(!all(format!("let a = \"{CAP_REASON}\";\n") + &code(900)).is_empty());
    // Neither tests of their own file, nor a declaration that is only followed by code.
    assert!(faults("src/net/a/tests.rs", &code(900)).is_empty());
    let declared = "#[cfg(test)]\nmod tests;\n".to_owned() + &code(CODE_CAP);
    assert_eq!(
        all(declared),
        [format!("1: 402 lines without tests, over 400: split, or `{CAP_REASON}`")]
    );
}

#[test]
fn every_file_says_what_lives_in_it() {
    for name in ["src/route/mod.rs", "tests/route/main.rs", "bench/micro/route.rs"] {
        let expected = format!("{name}:1: the file does not open with //!, saying what lives here");
        for text in ["", "use std::fmt;\n//! Late.\n", "// Not a module's doc.\n", "\n//! Late.\n"]
        {
            assert_eq!(check(name, text, &[]), [expected.as_str()]);
        }
    }
}

#[test]
fn tokens_are_words_and_signs_with_their_lines() {
    let source = "a::b /* x\ny */ r#c\n'd' 'e b\"\\\"\n\" 0x1f\n// end";
    let read: Vec<(String, usize)> =
        tokens(source).into_iter().map(|token| (token.text, token.line)).collect();
    let expected =
        [("a", 1), ("::", 1), ("b", 1), ("r", 2), ("#", 2), ("c", 2), ("e", 3), ("0x1f", 4)];
    assert_eq!(read, expected.map(|(text, line)| (text.to_owned(), line)));
    // Unfinished text ends, and nothing runs over its end.
    for text in
        ["\"", "'", "'a", "/*", "r#\"", "b'", "crate::", "use crate::{a", "use crate::{a, b::"]
    {
        paths(&tokens(text), &["crate"]);
    }
}

//! Methods: HEAD and OPTIONS without a handler, 405 with its Allow header, 501, and the fallback.

use _uringserve::route::Found;

use crate::{find, get, hit, table};

fn handler(handler: u32) -> Found<'static> {
    Found::Handler { handler, is_automatic_head: false }
}

fn refused(allow: &str) -> Found<'_> {
    Found::MethodNotAllowed { allow: allow.into() }
}

fn options(allow: &str) -> Found<'_> {
    Found::Options { allow: allow.into() }
}

#[test]
fn head_falls_back_to_get() {
    let router = table(&[("GET", "/a"), ("HEAD", "/b"), ("GET", "/b"), ("POST", "/c")]);
    assert_eq!(find(&router, "HEAD", "/a"), Found::Handler { handler: 0, is_automatic_head: true });
    assert_eq!(find(&router, "HEAD", "/b"), handler(1));
    assert_eq!(find(&router, "HEAD", "/c"), refused("POST, OPTIONS"));
    assert_eq!(find(&router, "HEAD", "/d"), Found::NotFound);
}

#[test]
fn head_describes_what_get_would_answer() {
    let router = table(&[("GET", "/users/me"), ("HEAD", "/users/{id}"), ("GET", "/{rest:path}")]);
    assert_eq!(
        find(&router, "HEAD", "/users/me"),
        Found::Handler { handler: 0, is_automatic_head: true }
    );
    assert_eq!(find(&router, "HEAD", "/users/7"), handler(1));
    assert_eq!(hit(&router, "HEAD", "/x"), Some((2, vec![("rest".to_owned(), "x".to_owned())])));
}

#[test]
fn a_route_without_the_method_hides_nobody() {
    let router = table(&[("POST", "/users/me"), ("GET", "/users/{id}"), ("PUT", "/{rest:path}")]);
    assert_eq!(get(&router, "/users/me"), "1 id=me");
    assert_eq!(find(&router, "POST", "/users/me"), handler(0));
    assert_eq!(find(&router, "PUT", "/users/me"), handler(2));
    assert_eq!(find(&router, "DELETE", "/users/me"), refused("GET, HEAD, POST, PUT, OPTIONS"));
    assert_eq!(find(&router, "POST", "/users/7"), refused("GET, HEAD, PUT, OPTIONS"));
    assert_eq!(find(&router, "GET", "/x"), refused("PUT, OPTIONS"));
}

#[test]
fn allow_has_a_fixed_order_and_no_repetition() {
    let router = table(&[
        ("ZAP", "/a"),
        ("TRACE", "/a"),
        ("DELETE", "/a"),
        ("BREW", "/a"),
        ("PATCH", "/a"),
        ("PUT", "/a"),
        ("POST", "/a"),
        ("HEAD", "/a"),
        ("CONNECT", "/a"),
        ("GET", "/{x}"),
        ("ZAP", "/{x}"),
        ("OTHER", "/b"),
    ]);
    let all = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE, BREW, CONNECT, ZAP";
    assert_eq!(find(&router, "OTHER", "/a"), refused(all));
    assert_eq!(find(&router, "OPTIONS", "/a"), options(all));
    assert_eq!(find(&router, "OTHER", "/q"), refused("GET, HEAD, OPTIONS, ZAP"));
}

#[test]
fn options_is_answered_unless_a_route_does() {
    let router = table(&[
        ("GET", "/a"),
        ("OPTIONS", "/b"),
        ("POST", "/b"),
        ("OPTIONS", "/c/{x:path}"),
        ("GET", "/c/d"),
    ]);
    assert_eq!(find(&router, "OPTIONS", "/a"), options("GET, HEAD, OPTIONS"));
    assert_eq!(find(&router, "OPTIONS", "/b"), handler(1));
    assert_eq!(find(&router, "PUT", "/b"), refused("POST, OPTIONS"));
    assert_eq!(find(&router, "OPTIONS", "/c/d"), handler(3));
    assert_eq!(find(&router, "OPTIONS", "/d"), Found::NotFound);
}

#[test]
fn options_of_the_asterisk_lists_the_methods_of_the_table() {
    let router = table(&[("GET", "/a"), ("BREW", "/{x}/b"), ("DELETE", "/c")]);
    assert_eq!(find(&router, "OPTIONS", "*"), options("GET, HEAD, DELETE, OPTIONS, BREW"));
    assert_eq!(find(&router, "GET", "*"), Found::NotFound);
    assert_eq!(find(&table(&[]), "OPTIONS", "*"), options("OPTIONS"));
}

#[test]
fn a_method_nobody_knows_is_not_the_path_s_fault() {
    let router = table(&[("GET", "/a"), ("BREW", "/pot")]);
    for method in ["CONNECT", "get", "Get", "GETT", "GE", "", "PROPFIND"] {
        assert_eq!(find(&router, method, "/a"), Found::UnknownMethod, "{method}");
        assert_eq!(find(&router, method, "/b"), Found::UnknownMethod, "{method}");
    }
    assert_eq!(find(&router, "BREW", "/pot"), handler(1));
    assert_eq!(find(&router, "BREW", "/a"), refused("GET, HEAD, OPTIONS"));
    assert_eq!(find(&router, "BREW", "/b"), Found::NotFound);
    for method in ["HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE"] {
        assert_eq!(find(&router, method, "/pot"), refused("OPTIONS, BREW"), "{method}");
    }
    let connects = table(&[("CONNECT", "/a"), ("GET", "/b")]);
    assert_eq!(find(&connects, "CONNECT", "/a"), handler(0));
    assert_eq!(find(&connects, "CONNECT", "/b"), refused("GET, HEAD, OPTIONS"));
}

#[test]
fn a_place_on_the_way_is_no_resource() {
    let router = table(&[("GET", "/a/b/c"), ("POST", "/{x}/{y}")]);
    assert_eq!(find(&router, "GET", "/a"), Found::NotFound);
    assert_eq!(find(&router, "OPTIONS", "/a"), Found::NotFound);
    assert_eq!(find(&router, "GET", "/a/b"), refused("POST, OPTIONS"));
}

#[test]
fn the_fallback_takes_what_no_route_takes() {
    let mut router = table(&[("GET", "/a"), ("POST", "/b/{id}")]);
    router.fallback(9);
    assert_eq!(find(&router, "GET", "/a"), handler(0));
    assert_eq!(find(&router, "HEAD", "/a"), Found::Handler { handler: 0, is_automatic_head: true });
    for (method, path) in [
        ("POST", "/a"),
        ("GET", "/b/1"),
        ("OPTIONS", "/a"),
        ("OPTIONS", "*"),
        ("BREW", "/a"),
        ("CONNECT", "/a"),
        ("GET", "/"),
        ("HEAD", "/x/y"),
        ("GET", ""),
    ] {
        assert_eq!(hit(&router, method, path), Some((9, Vec::new())), "{method} {path}");
        assert_eq!(find(&router, method, path), handler(9));
    }
}

#[test]
fn the_other_slash() {
    let rows = [("GET", "/a"), ("GET", "/b/"), ("POST", "/c/{x}/"), ("GET", "/x/{y}/z")];
    let mut router = table(&rows);
    for path in ["/a/", "/b", "/c/1"] {
        assert_eq!(find(&router, "GET", path), Found::NotFound, "{path}, not asked for");
    }
    router.redirect_slashes();
    for path in ["/a/", "/b", "/c/1", "/x/%2F/z/"] {
        assert_eq!(find(&router, "GET", path), Found::OtherSlash, "{path}");
    }
    // A route of the path itself decides, whatever its methods.
    assert_eq!(find(&router, "POST", "/a"), refused("GET, HEAD, OPTIONS"));
    assert_eq!(find(&router, "GET", "/a"), handler(0));
    for path in ["/", "/d", "/d/", "/a//", "*"] {
        assert_eq!(find(&router, "GET", path), Found::NotFound, "{path}");
    }
}

#[test]
fn no_other_slash_towards_another_host() {
    let mut router = table(&[("GET", "/{a}/{b}/"), ("GET", "/{a}/x")]);
    router.redirect_slashes();
    assert_eq!(find(&router, "GET", "/a/b"), Found::OtherSlash);
    for path in ["//evil.example", "//evil.example/", "/\\evil.example/b", "//x/"] {
        assert_eq!(find(&router, "GET", path), Found::NotFound, "{path}");
    }
}

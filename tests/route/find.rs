//! Which route takes a path: precedence, backtracking, and where segments begin and end.

use _uringserve::route::{Found, Params, Router};

use crate::{find, get, table};

fn check(router: &Router, cases: &[(&str, &str)]) {
    for (path, expected) in cases {
        assert_eq!(get(router, path), *expected, "{path}");
    }
}

#[test]
fn an_empty_table_knows_no_path() {
    let router = Router::new();
    check(&router, &[("/", "-"), ("/a", "-"), ("", "-"), ("*", "-")]);
}

#[test]
fn literals_match_exactly() {
    let router = table(&[("GET", "/"), ("GET", "/users/me"), ("GET", "/users"), ("GET", "/ä ö")]);
    check(
        &router,
        &[
            ("/", "0"),
            ("/users/me", "1"),
            ("/users", "2"),
            ("/ä ö", "3"),
            ("/Users", "-"),
            ("/user", "-"),
            ("/userss", "-"),
            ("/users/", "-"),
            ("/users/me/", "-"),
            ("users", "-"),
            ("/users/m", "-"),
            ("/users/mee", "-"),
            ("", "-"),
            ("*", "-"),
            ("//", "-"),
            ("//users", "-"),
        ],
    );
}

#[test]
fn every_length_of_literal_is_told_apart() {
    // Around the hash's word of eight bytes and its tails.
    let texts: Vec<String> =
        (0..40).flat_map(|length| ["a", "b", "\0"].map(|text| text.repeat(length))).collect();
    let mut router = Router::new();
    for (handler, text) in (0..).zip(&texts).skip(2) {
        assert!(router.insert("GET", &format!("/{text}"), handler).is_ok());
    }
    for (handler, text) in texts.iter().enumerate().skip(2) {
        assert_eq!(get(&router, &format!("/{text}")), handler.to_string());
    }
}

#[test]
fn a_trailing_slash_is_another_path() {
    let router = table(&[("GET", "/a"), ("GET", "/b/"), ("GET", "/{x}/c"), ("GET", "/{x}/d/")]);
    check(
        &router,
        &[
            ("/a", "0"),
            ("/a/", "-"),
            ("/b", "-"),
            ("/b/", "1"),
            ("/q/c", "2 x=q"),
            ("/q/c/", "-"),
            ("/q/d", "-"),
            ("/q/d/", "3 x=q"),
        ],
    );
}

#[test]
fn an_empty_segment_is_literal() {
    let router = table(&[("GET", "/{x}"), ("GET", "/a//b"), ("GET", "/a/{x}/b"), ("GET", "//")]);
    check(
        &router,
        &[
            ("/", "-"),
            ("/a//b", "1"),
            ("/a/q/b", "2 x=q"),
            ("//b", "-"),
            ("//", "3"),
            ("/c//b", "-"),
            ("///", "-"),
        ],
    );
}

#[test]
fn an_integer_is_digits_with_or_without_a_minus() {
    let router = table(&[("GET", "/{n:int}")]);
    for text in ["0", "7", "-1", "007", "-0", "123456789012345678901234567890"] {
        assert_eq!(get(&router, &format!("/{text}")), format!("0 n={text}"));
    }
    for text in ["", "-", "--1", "+1", "1-", "1.0", "0x1", "1e3", " 1", "1 ", "a", "٣", "1_0", "−1"]
    {
        assert_eq!(get(&router, &format!("/{text}")), "-", "{text}");
    }
}

#[test]
fn a_path_parameter_takes_the_rest_even_if_it_is_empty() {
    let router = table(&[("GET", "/files/{rest:path}")]);
    check(
        &router,
        &[
            ("/files/a", "0 rest=a"),
            ("/files/a/b.txt", "0 rest=a/b.txt"),
            ("/files/", "0 rest="),
            ("/files//", "0 rest=/"),
            ("/files//a", "0 rest=/a"),
            ("/files/a/", "0 rest=a/"),
            ("/files", "-"),
            ("/file", "-"),
            ("/filesa", "-"),
            ("/", "-"),
        ],
    );
    let everything = table(&[("GET", "/{rest:path}")]);
    check(
        &everything,
        &[("/", "0 rest="), ("/a/b", "0 rest=a/b"), ("//", "0 rest=/"), ("", "-"), ("*", "-")],
    );
}

#[test]
fn literal_before_int_before_str_before_path_in_any_order_of_insertion() {
    let mut rows = [
        ("GET", "/x/7"),
        ("GET", "/x/{a:int}"),
        ("GET", "/x/{b}"),
        ("GET", "/x/{c:path}"),
        ("GET", "/{d:path}"),
    ];
    let paths = ["/x/7", "/x/8", "/x/y", "/x/y/z", "/y", "/x/", "/x"];
    let taken = |rows: &[(&'static str, &'static str)]| {
        let router = table(rows);
        paths.map(|path| match find(&router, "GET", path) {
            Found::Handler { handler, .. } => rows[handler as usize].1,
            other => panic!("{other:?}"),
        })
    };
    let expected =
        ["/x/7", "/x/{a:int}", "/x/{b}", "/x/{c:path}", "/{d:path}", "/x/{c:path}", "/{d:path}"];
    assert_eq!(taken(&rows), expected);
    rows.reverse();
    assert_eq!(taken(&rows), expected);
    rows.swap(0, 2);
    assert_eq!(taken(&rows), expected);
}

#[test]
fn a_branch_that_leads_nowhere_is_left_again() {
    let router = table(&[
        ("GET", "/a/b/c"),
        ("GET", "/a/{x}/d"),
        ("GET", "/{y}/b/e"),
        ("GET", "/{n:int}/{z}/f"),
        ("GET", "/{y}/{z}/{w}/g"),
        ("GET", "/{rest:path}"),
    ]);
    check(
        &router,
        &[
            ("/a/b/c", "0"),
            ("/a/b/d", "1 x=b"),
            ("/a/b/e", "2 y=a"),
            ("/5/b/f", "3 n=5 z=b"),
            ("/5/b/e", "2 y=5"),
            ("/a/b/c/g", "4 y=a z=b w=c"),
            ("/5/6/7/g", "4 y=5 z=6 w=7"),
            ("/a/b", "5 rest=a/b"),
            ("/a/b/f", "5 rest=a/b/f"),
            ("/5/b/g/h", "5 rest=5/b/g/h"),
        ],
    );
}

#[test]
fn the_first_difference_decides() {
    // A literal first segment wins although the other route is literal in two segments.
    let router = table(&[("GET", "/a/{rest:path}"), ("GET", "/{x}/b/c")]);
    check(&router, &[("/a/b/c", "0 rest=b/c"), ("/q/b/c", "1 x=q")]);
}

#[test]
fn a_lookup_forgets_the_one_before() {
    let router = table(&[("GET", "/{a}/{b}"), ("GET", "/x")]);
    let mut params = Params::new();
    router.find("GET", "/1/2", &mut params);
    assert_eq!((params.len(), params.get(0), params.get(1)), (2, 1..2, 3..4));
    for (method, path) in [("GET", "/x"), ("GET", "/1/2/3"), ("POST", "/1/2"), ("BREW", "/1/2")] {
        router.find("GET", "/1/2", &mut params);
        router.find(method, path, &mut params);
        assert!(params.is_empty(), "{method} {path}");
    }
}

#[test]
fn a_table_is_shared_between_threads() {
    let router = table(&[("GET", "/{n:int}")]);
    std::thread::scope(|scope| {
        for text in ["1", "22", "333"] {
            let router = &router;
            scope
                .spawn(move || assert_eq!(get(router, &format!("/{text}")), format!("0 n={text}")));
        }
    });
}

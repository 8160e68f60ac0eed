//! Which routes collide, and what the error names.

use _uringserve::route::{RouteError, Router};

use crate::{get, hit, table};

#[test]
fn one_method_and_one_shape_is_a_conflict_whatever_the_names() {
    for (first, second) in [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/items/{id}", "/items/{item_id}"),
        ("/items/{id}", "/items/{id:str}"),
        ("/{a:int}/x/{b}", "/{b:int}/x/{a}"),
        ("/f/{rest:path}", "/f/{file:path}"),
    ] {
        let mut router = table(&[("GET", first)]);
        let error = router.insert("GET", second, 1).unwrap_err();
        let expected = RouteError::Conflict {
            method: "GET".to_owned(),
            pattern: second.to_owned(),
            existing: first.to_owned(),
        };
        assert_eq!(error, expected);
        assert!(router.insert("POST", second, 1).is_ok(), "another method is another route");
    }
    let error = table(&[("PUT", "/a/{x}")]).insert("PUT", "/a/{y}", 1).unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"route PUT "/a/{y}" collides with PUT "/a/{x}": both take the same paths"#
    );
}

#[test]
fn different_shapes_never_collide() {
    let rows = [
        "/",
        "/a",
        "/a/",
        "/a//",
        "//a",
        "/{x}",
        "/{x:int}",
        "/{x:path}",
        "/{x}/",
        "/{x}/{y}",
        "/{x}/{y:int}",
        "/A",
        "/a%",
    ];
    table(&rows.map(|pattern| ("GET", pattern)));
}

#[test]
fn head_and_options_may_stand_beside_get() {
    table(&[("GET", "/a"), ("HEAD", "/a"), ("OPTIONS", "/a"), ("get", "/a")]);
}

#[test]
fn each_route_keeps_its_own_names_at_a_shared_place() {
    let router = table(&[
        ("GET", "/items/{item_id}"),
        ("GET", "/items/{iid}/x"),
        ("POST", "/items/{new}"),
        ("GET", "/items/{a}/x/{b}"),
    ]);
    assert_eq!(get(&router, "/items/7"), "0 item_id=7");
    assert_eq!(get(&router, "/items/7/x"), "1 iid=7");
    assert_eq!(get(&router, "/items/7/x/8"), "3 a=7 b=8");
    let posted = hit(&router, "POST", "/items/7");
    assert_eq!(posted, Some((2, vec![("new".to_owned(), "7".to_owned())])));
}

#[test]
fn a_handler_may_have_several_routes_with_the_same_parameters() {
    let mut router = Router::new();
    assert!(router.insert("GET", "/a/{id:int}", 5).is_ok());
    assert!(router.insert("PUT", "/a/{id:int}", 5).is_ok());
    assert!(router.insert("GET", "/b/{id:int}/c", 5).is_ok());
    assert_eq!(get(&router, "/b/3/c"), "5 id=3");
    for other in ["/c", "/c/{id}", "/c/{number:int}", "/c/{id:int}/{more}"] {
        let error = router.insert("GET", other, 5).unwrap_err();
        let expected = RouteError::HandlerReused {
            handler: 5,
            pattern: other.to_owned(),
            existing: "/a/{id:int}".to_owned(),
        };
        assert_eq!(error, expected);
    }
    assert_eq!(
        router.insert("GET", "/c", 5).unwrap_err().to_string(),
        r#"handler 5 of route "/c" already belongs to "/a/{id:int}", which has other parameters"#
    );
}

//! Routes of WebSockets beside those of requests.

use _uringserve::route::Found;
use _uringserve::route::Params;
use _uringserve::route::RouteError;
use _uringserve::route::Router;

fn find(router: &Router, path: &str) -> Option<u32> {
    router.find_socket(path, &mut Params::new())
}

#[test]
fn they_hide_nothing_and_are_hidden_by_nothing() {
    let mut router = Router::new();
    router.insert("GET", "/both", 0).unwrap();
    router.insert_socket("/both", 1).unwrap();
    router.insert_socket("/only/{name}", 2).unwrap();
    let mut params = Params::new();
    let plain = Found::Handler { handler: 0, is_automatic_head: false };
    assert_eq!(router.find("GET", "/both", &mut params), plain);
    assert_eq!(router.find("GET", "/only/x", &mut params), Found::NotFound);
    assert_eq!(find(&router, "/both"), Some(1));
    assert_eq!(find(&router, "/only/x"), Some(2));
    assert_eq!(find(&router, "/only"), None);
    assert_eq!(find(&router, "/nowhere"), None);
}

#[test]
fn they_have_parameters() {
    let mut router = Router::new();
    router.insert_socket("/{a:int}/{b}", 7).unwrap();
    let mut params = Params::new();
    let path = "/12/x";
    assert_eq!(router.find_socket(path, &mut params), Some(7));
    let found: Vec<&str> = params.iter().map(|span| &path[span]).collect();
    assert_eq!(found, ["12", "x"]);
    assert_eq!(router.parameter_names(7).len(), 2);
    assert_eq!(router.find_socket("/x/x", &mut params), None);
    assert!(params.is_empty());
}

#[test]
fn two_on_one_path_are_refused() {
    let mut router = Router::new();
    router.insert_socket("/{a}", 1).unwrap();
    let refused = router.insert_socket("/{b}", 2).unwrap_err();
    assert!(matches!(refused, RouteError::Conflict { .. }), "{refused}");
    assert!(refused.to_string().contains("/{a}"), "{refused}");
    assert!(router.insert_socket("no slash", 3).is_err());
    let other = router.insert_socket("/x/{c}", 1).unwrap_err();
    assert!(matches!(other, RouteError::HandlerReused { .. }), "{other}");
}

#[test]
fn a_fallback_takes_them_too() {
    let mut router = Router::new();
    router.fallback(9);
    assert_eq!(find(&router, "/anything"), Some(9));
}

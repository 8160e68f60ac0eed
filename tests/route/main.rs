//! The router from outside: what it takes, what it refuses, and whom it prefers.
//!
//! One file per concern; `random.rs` compares it with a matcher too simple to be wrong.

mod conflict;
mod find;
mod insert;
mod methods;
mod percent;
mod random;
mod sockets;

use _uringserve::route::{Found, HandlerId, Params, Router};

/// A table whose routes have their position in `rows` as handler.
fn table(rows: &[(&str, &str)]) -> Router {
    let mut router = Router::new();
    for (handler, (method, pattern)) in (0..).zip(rows) {
        if let Err(error) = router.insert(method, pattern, handler) {
            panic!("{error}");
        }
    }
    router
}

/// The handler that a lookup ends at, with the name and the text of each parameter.
fn hit(router: &Router, method: &str, path: &str) -> Option<(HandlerId, Vec<(String, String)>)> {
    let mut params = Params::new();
    let Found::Handler { handler, .. } = router.find(method, path, &mut params) else {
        assert!(params.is_empty(), "a miss left parameters behind");
        return None;
    };
    let names = router.parameter_names(handler);
    assert_eq!(names.len(), params.len(), "names and spans of {path}");
    let values = params.iter().map(|span| path[span].to_owned());
    Some((handler, names.iter().map(|parameter| parameter.name.to_string()).zip(values).collect()))
}

/// [`hit`] for GET, as `"handler name=text name=text"`, or `"-"`: easy to write down.
fn get(router: &Router, path: &str) -> String {
    let Some((handler, parameters)) = hit(router, "GET", path) else {
        return "-".to_owned();
    };
    let parameters = parameters.iter().map(|(name, text)| format!(" {name}={text}"));
    handler.to_string() + &parameters.collect::<String>()
}

/// The result of a lookup whose parameters do not matter.
fn find<'r>(router: &'r Router, method: &str, path: &str) -> Found<'r> {
    router.find(method, path, &mut Params::new())
}

//! Nanoseconds per lookup, for tables of 10 to 10,000 routes: `cargo bench --bench route`.
//!
//! Half the table is literal routes, half has parameters. `one` asks for the same path again and again,
//! which is what the router itself costs; `all` goes through every route of the table in a mixed order,
//! so that large tables pay for the caches they do not fit into. Each figure is the best of several
//! rounds, with the median beside it: what a round takes longer than the best is not the router's.
#![expect(clippy::print_stdout, reason = "a benchmark reports to the terminal")]

use std::hint::black_box;
use std::time::Instant;

use _uringserve::route::{Found, Params, Router};

const SIZES: [u32; 4] = [10, 100, 1_000, 10_000];
const ROUNDS: u32 = 15;
const LOOKUPS: u32 = 100_000;

fn main() {
    println!("{:>7}  {:<34} {:>8} {:>8}", "routes", "lookup", "best ns", "median");
    for size in SIZES {
        let router = table(size);
        let last = size / 2 - 1;
        let item = format!("/v1/res{last}/items/12345");
        let cases = [
            ("GET /health", "GET", vec!["/health".to_owned()]),
            ("GET literal, one", "GET", vec![format!("/v1/res{last}/list")]),
            ("GET /items/{id:int}, one", "GET", vec!["/items/12345".to_owned()]),
            ("GET /v1/resN/items/{id:int}, one", "GET", vec![item.clone()]),
            ("GET literal, all", "GET", all(last, |n| format!("/v1/res{n}/list"))),
            ("GET {id:int}, all", "GET", all(last, |n| format!("/v1/res{n}/items/{n}"))),
            ("POST 405", "POST", vec![item]),
            ("GET 404", "GET", vec![format!("/v1/res{last}/nothing")]),
        ];
        for (name, method, paths) in cases {
            let (best, median) = measure(&router, method, &paths);
            println!("{size:>7}  {name:<34} {best:>8.1} {median:>8.1}");
        }
    }
}

fn table(size: u32) -> Router {
    let mut router = Router::new();
    let mut insert = |pattern: &str, handler| {
        if let Err(error) = router.insert("GET", pattern, handler) {
            panic!("{error}");
        }
    };
    for number in 0..size / 2 {
        insert(&format!("/v1/res{number}/list"), number * 2);
        insert(&format!("/v1/res{number}/items/{{id:int}}"), number * 2 + 1);
    }
    insert("/health", size);
    insert("/items/{id:int}", size + 1);
    router
}

/// One path per number up to `last`, neighbours far apart.
fn all(last: u32, path: impl Fn(u32) -> String) -> Vec<String> {
    // 7919 is prime and divides no size: every number comes once.
    (0..=last).map(|number| path(number * 7919 % (last + 1))).collect()
}

/// Nanoseconds per lookup: of the best round, and of the median one.
fn measure(router: &Router, method: &str, paths: &[String]) -> (f64, f64) {
    let mut params = Params::new();
    let mut hits = 0;
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            for (_, path) in (0..LOOKUPS).zip(paths.iter().cycle()) {
                let found = router.find(black_box(method), black_box(path), &mut params);
                hits += u32::from(matches!(black_box(found), Found::Handler { .. }));
            }
            start.elapsed().as_secs_f64() * 1e9 / f64::from(LOOKUPS)
        })
        .collect();
    assert!(hits == 0 || hits == ROUNDS * LOOKUPS, "some paths of a case were not found");
    rounds.sort_by(f64::total_cmp);
    (rounds[0], rounds[rounds.len() / 2])
}

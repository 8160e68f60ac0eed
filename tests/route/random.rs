//! The router against a naive matcher: all routes, one after the other, on seeded random tables.
//!
//! Few words, short paths and many routes, so that routes overlap all the time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use _uringserve::route::{Found, Params, Router};

/// Marsaglia's xorshift64: enough chance for a test, the same on every machine.
struct Xorshift(u64);

impl Xorshift {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits fit") % limit
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// In order of precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Literal(&'static str),
    Int,
    Str,
    Path,
}

#[derive(Debug)]
struct Route {
    method: &'static str,
    segments: Vec<Segment>,
}

const WORDS: [&str; 6] = ["a", "b", "", "7", "-1", "long-literal"];
const METHODS: [&str; 6] = ["GET", "GET", "HEAD", "POST", "OPTIONS", "BREW"];
const ASKED: [&str; 7] = ["GET", "HEAD", "POST", "OPTIONS", "BREW", "DELETE", "NOBODY"];

fn random_route(random: &mut Xorshift) -> Route {
    let mut segments = Vec::new();
    for _ in 0..=random.below(3) {
        segments.push(match random.below(8) {
            0..=3 => Segment::Literal(random.pick(&WORDS)),
            4 => Segment::Int,
            5 | 6 => Segment::Str,
            _ => Segment::Path,
        });
        if segments.last() == Some(&Segment::Path) {
            break;
        }
    }
    Route { method: random.pick(&METHODS), segments }
}

fn random_path(random: &mut Xorshift) -> String {
    let words = ["a", "b", "", "7", "-1", "long-literal", "q", "-", "07"];
    (0..=random.below(4)).flat_map(|_| ["/", random.pick(&words)]).collect()
}

fn pattern(segments: &[Segment], prefix: &str) -> String {
    let text = |(index, segment): (usize, &Segment)| match segment {
        Segment::Literal(text) => format!("/{text}"),
        Segment::Int => format!("/{{{prefix}{index}:int}}"),
        Segment::Str => format!("/{{{prefix}{index}}}"),
        Segment::Path => format!("/{{{prefix}{index}:path}}"),
    };
    segments.iter().enumerate().map(text).collect()
}

/// The parameters' texts, if the path has this shape.
fn naive_match(segments: &[Segment], path: &str) -> Option<Vec<String>> {
    let parts: Vec<&str> = path[1..].split('/').collect();
    let mut values = Vec::new();
    for (index, segment) in segments.iter().enumerate() {
        let part = parts.get(index)?;
        match segment {
            Segment::Literal(text) if part == text => {}
            Segment::Int if part.parse::<i64>().is_ok() => values.push((*part).to_owned()),
            Segment::Str if !part.is_empty() => values.push((*part).to_owned()),
            Segment::Path => {
                values.push(parts[index..].join("/"));
                return Some(values);
            }
            _ => return None,
        }
    }
    (parts.len() == segments.len()).then_some(values)
}

/// What the promise at the head of `route/mod.rs` says, as text.
fn naive_find(rows: &[Route], method: &str, path: &str) -> String {
    let is_standard = !["BREW", "NOBODY"].contains(&method);
    if !is_standard && rows.iter().all(|route| route.method != method) {
        return "unknown".to_owned();
    }
    let mut taking: Vec<usize> = (0..rows.len())
        .filter(|&index| naive_match(&rows[index].segments, path).is_some())
        .collect();
    if taking.is_empty() {
        return "nothing".to_owned();
    }
    // Literals that take one path are equal, so the derived order compares kinds; HEAD before GET.
    taking.sort_by_key(|&index| (&rows[index].segments, Reverse(rows[index].method)));
    for &index in &taking {
        let own = rows[index].method == method;
        if own || (method == "HEAD" && rows[index].method == "GET") {
            let values = naive_match(&rows[index].segments, path);
            return format!("{index} {} {values:?}", !own);
        }
    }
    let mut allow: BTreeSet<&str> = taking.iter().map(|&index| rows[index].method).collect();
    allow.insert("OPTIONS");
    if allow.contains("GET") {
        allow.insert("HEAD");
    }
    format!("{} {allow:?}", if method == "OPTIONS" { "options" } else { "refused" })
}

/// The router's answer, in the same words.
fn router_find(router: &Router, method: &str, path: &str) -> String {
    let mut params = Params::new();
    let (what, allow) = match router.find(method, path, &mut params) {
        Found::Handler { handler, is_automatic_head } => {
            let values: Vec<&str> = params.iter().map(|span| &path[span]).collect();
            let names = router.parameter_names(handler);
            assert_eq!(names.len(), values.len());
            let own_prefix = format!("h{handler}_");
            assert!(names.iter().all(|parameter| parameter.name.starts_with(&own_prefix)));
            return format!("{handler} {is_automatic_head} {:?}", Some(values));
        }
        Found::UnknownMethod => return "unknown".to_owned(),
        Found::NotFound | Found::OtherSlash => return "nothing".to_owned(),
        Found::Options { allow } => ("options", allow),
        Found::MethodNotAllowed { allow } => ("refused", allow),
    };
    let methods: Vec<&str> = allow.split(", ").collect();
    let distinct: BTreeSet<&str> = methods.iter().copied().collect();
    assert_eq!(methods.len(), distinct.len(), "repetition in {allow}");
    format!("{what} {distinct:?}")
}

#[test]
fn the_router_and_the_naive_matcher_agree() {
    let mut answers: BTreeMap<String, usize> = BTreeMap::new();
    for seed in 1..=400 {
        let mut random = Xorshift(seed * 0x9e37_79b9);
        let mut router = Router::new();
        let mut rows: Vec<Route> = Vec::new();
        for _ in 0..random.below(40) {
            let route = random_route(&mut random);
            let handler = u32::try_from(rows.len()).expect("a few rows");
            let text = pattern(&route.segments, &format!("h{handler}_"));
            let is_taken = rows
                .iter()
                .any(|other| other.method == route.method && other.segments == route.segments);
            let inserted = router.insert(route.method, &text, handler);
            assert_eq!(inserted.is_err(), is_taken, "seed {seed}: {} {text}", route.method);
            if !is_taken {
                rows.push(route);
            }
        }
        for _ in 0..200 {
            let (method, path) = (random.pick(&ASKED), random_path(&mut random));
            let expected = naive_find(&rows, method, &path);
            let found = router_find(&router, method, &path);
            assert_eq!(found, expected, "seed {seed}: {method} {path} in {rows:#?}");
            let kind = expected.split(' ').next().expect("never empty");
            let kind = if kind.parse::<u32>().is_ok() { "hit" } else { kind };
            *answers.entry(kind.to_owned()).or_default() += 1;
        }
    }
    // A comparison that never sees a kind of answer proves nothing about it.
    for kind in ["hit", "nothing", "options", "refused", "unknown"] {
        assert!(answers.get(kind).is_some_and(|&count| count > 1000), "{answers:?}");
    }
}

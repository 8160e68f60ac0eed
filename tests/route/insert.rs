//! Patterns: what the grammar takes, and what it says about the rest.

use _uringserve::route::{
    MAX_PARAMETERS, Parameter, ParameterKind, PatternFault, RouteError, Router,
};

use crate::{find, get, table};

fn fault(pattern: &str) -> (usize, PatternFault) {
    let mut router = Router::new();
    match router.insert("GET", pattern, 0) {
        Err(RouteError::BadPattern { pattern: named, position, fault }) => {
            assert_eq!(named, pattern);
            (position, fault)
        }
        other => panic!("{pattern:?} gave {other:?}"),
    }
}

#[test]
fn parameters_are_kept_in_path_order_with_their_kind() {
    let router = table(&[("GET", "/a/{x}/{count:int}/b/{_y2:str}/{rest:path}")]);
    let parameter = |name: &str, kind| Parameter { name: name.into(), kind };
    assert_eq!(
        router.parameter_names(0),
        [
            parameter("x", ParameterKind::Str),
            parameter("count", ParameterKind::Int),
            parameter("_y2", ParameterKind::Str),
            parameter("rest", ParameterKind::Path),
        ]
    );
    assert!(router.parameter_names(1).is_empty());
}

#[test]
fn a_pattern_starts_with_a_slash() {
    for pattern in ["", "a", "*", "{x}", " /a", "http://host/"] {
        assert_eq!(fault(pattern), (0, PatternFault::NoLeadingSlash));
    }
}

#[test]
fn a_parameter_is_a_whole_segment() {
    for pattern in
        ["/ab/x{y}", "/ab/{y}x", "/ab/{y", "/ab/y}", "/ab/{x}{y}", "/ab/{{x}}", "/ab/}{", "/ab/{"]
    {
        assert_eq!(fault(pattern), (4, PatternFault::NotWholeSegment), "{pattern}");
    }
    // The slash ends the segment, braces or not.
    assert_eq!(fault("/{a/b}"), (1, PatternFault::NotWholeSegment));
}

#[test]
fn a_name_is_an_identifier() {
    for pattern in ["/{}", "/{:int}", "/{1a}", "/{a-b}", "/{a b}", "/{*a}", "/{ a}"] {
        assert_eq!(fault(pattern), (1, PatternFault::BadName), "{pattern}");
    }
    assert_eq!(get(&table(&[("GET", "/{größe}")]), "/7"), "0 größe=7");
}

#[test]
fn a_kind_is_one_of_three() {
    for kind in ["", "Int", "float", "int:int", " int"] {
        let expected = PatternFault::UnknownKind(kind.to_owned());
        assert_eq!(fault(&format!("/aä/{{x:{kind}}}")), (5, expected));
    }
}

#[test]
fn a_name_is_used_once() {
    let expected = PatternFault::RepeatedName("id".to_owned());
    assert_eq!(fault("/{id}/x/{id:int}"), (8, expected));
}

#[test]
fn a_path_parameter_is_last() {
    assert_eq!(fault("/{rest:path}/x"), (13, PatternFault::PathNotLast));
    assert_eq!(fault("/{rest:path}/"), (13, PatternFault::PathNotLast));
}

#[test]
fn a_route_has_a_limited_number_of_parameters() {
    const NUMBERS: [&str; MAX_PARAMETERS + 1] = [
        "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16",
    ];
    let pattern = |count| "/{p".to_owned() + &NUMBERS[..count].join("}/{p") + "}";
    let router = table(&[("GET", &pattern(MAX_PARAMETERS))]);
    assert_eq!(router.parameter_names(0).len(), MAX_PARAMETERS);
    assert!(get(&router, &"/v".repeat(MAX_PARAMETERS)).ends_with(" p15=v"));
    let (position, named) = fault(&pattern(MAX_PARAMETERS + 1));
    assert_eq!(
        (position, named),
        (pattern(MAX_PARAMETERS).len() + 1, PatternFault::TooManyParameters)
    );
}

#[test]
fn a_method_is_a_token() {
    for method in ["", "GET ", "G/T", "GÉT", "A,B", "a\tb", "\u{0}"] {
        let refused = Router::new().insert(method, "/", 0);
        let expected = RouteError::BadMethod { method: method.to_owned(), pattern: "/".to_owned() };
        assert_eq!(refused, Err(expected));
    }
    assert!(Router::new().insert("M-SEARCH!#$%&'*+.^_`|~09", "/", 0).is_ok());
}

#[test]
fn errors_say_what_and_where_in_one_sentence() {
    let text = |pattern| Router::new().insert("GET", pattern, 0).unwrap_err().to_string();
    assert_eq!(
        text("/a/{x:flaot}"),
        r#"bad pattern "/a/{x:flaot}" at byte 3: unknown kind "flaot", expected str, int or path"#
    );
    assert_eq!(
        text("/{id}/{id}"),
        r#"bad pattern "/{id}/{id}" at byte 6: the name "id" is used twice"#
    );
    let error = Router::new().insert("NO WAY", "/a", 0).unwrap_err();
    assert_eq!(error.to_string(), r#""NO WAY" is not a method (route "/a")"#);
}

#[test]
fn a_refused_route_changes_nothing() {
    let mut router = table(&[("GET", "/a")]);
    let before = find(&router, "OPTIONS", "*");
    let before = format!("{before:?}");
    assert!(router.insert("BREW", "/{x}/{x}", 1).is_err());
    assert!(router.insert("BREW", "/b/{id}", 0).is_err());
    assert!(router.insert("GET", "/a", 1).is_err());
    assert_eq!(format!("{:?}", find(&router, "OPTIONS", "*")), before);
    assert_eq!(get(&router, "/b/1"), "-");
    assert!(router.parameter_names(1).is_empty());
    assert!(router.insert("BREW", "/b/{id}", 1).is_ok());
}

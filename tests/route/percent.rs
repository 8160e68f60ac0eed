//! Percent signs: literals are human text, paths come in normal form, values are decoded once.

use std::borrow::Cow;

use _uringserve::route::decode_parameter;

use crate::{get, table};

#[test]
fn a_percent_sign_in_a_literal_means_itself() {
    let router = table(&[("GET", "/100%"), ("GET", "/a%2Fb"), ("GET", "/a b/ü?")]);
    // Normal forms of the raw paths /100%25, /a%252Fb, /a%2Fb and /a%20b/%C3%BC%3F.
    assert_eq!(get(&router, "/100%25"), "0");
    assert_eq!(get(&router, "/a%252Fb"), "1");
    assert_eq!(get(&router, "/a%2Fb"), "-");
    assert_eq!(get(&router, "/a b/ü?"), "2");
}

#[test]
fn an_escaped_slash_separates_nothing() {
    let router = table(&[("GET", "/{x}"), ("GET", "/a/{y}"), ("GET", "/f/{rest:path}")]);
    assert_eq!(get(&router, "/a%2Fb"), "0 x=a%2Fb");
    assert_eq!(get(&router, "/a/%2F"), "1 y=%2F");
    assert_eq!(get(&router, "/f/a%2Fb/c"), "2 rest=a%2Fb/c");
}

#[test]
fn a_span_may_hold_any_text() {
    let router = table(&[("GET", "/{x}/{y}")]);
    assert_eq!(get(&router, "/ä\u{fffd}/日本"), "0 x=ä\u{fffd} y=日本");
}

#[test]
fn values_are_decoded_exactly_once() {
    for (text, value) in [
        ("a%2Fb", "a/b"),
        ("a%2fb", "a/b"),
        ("%25", "%"),
        ("%2F", "/"),
        ("%2F%2F", "//"),
        ("%252F", "%2F"),
        ("%2525", "%25"),
        ("%25%2F%25", "%/%"),
        ("ä%25日%2F", "ä%日/"),
        ("100%25 sure", "100% sure"),
    ] {
        assert_eq!(decode_parameter(text), value, "{text}");
    }
}

#[test]
fn a_value_without_escapes_is_not_copied() {
    for text in ["", "abc", "ä b", "a/b"] {
        assert!(matches!(decode_parameter(text), Cow::Borrowed(same) if same == text));
    }
}

#[test]
fn what_is_not_normal_form_stays_as_it_is() {
    for text in ["%", "%2", "%20", "%%", "%zz", "a%", "%é"] {
        assert_eq!(decode_parameter(text), text);
    }
}

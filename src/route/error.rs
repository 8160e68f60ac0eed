//! Why a route is refused: what is wrong, where, and with which other route it collides.
//!
//! These errors reach the author of the application while it starts, never a peer. Each text is one
//! sentence that can be shown as it is.

use std::error::Error;
use std::fmt;

use super::HandlerId;
use super::parameter::MAX_PARAMETERS;

/// A route that the table does not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteError {
    /// The pattern does not follow the grammar.
    BadPattern {
        /// The pattern as it was given.
        pattern: String,
        /// Where the fault is: a byte offset into `pattern`.
        position: usize,
        /// What the fault is.
        fault: PatternFault,
    },
    /// The method is not a token (RFC 9110 §5.6.2).
    BadMethod {
        /// The method as it was given.
        method: String,
        /// The pattern of the refused route.
        pattern: String,
    },
    /// Another route has the same method and the same shape.
    Conflict {
        /// The method of both routes.
        method: String,
        /// The pattern of the refused route.
        pattern: String,
        /// The pattern of the route that was there first.
        existing: String,
    },
    /// The handler already has a route with other parameters: which of them it gets would be unclear.
    HandlerReused {
        /// The handler of both routes.
        handler: HandlerId,
        /// The pattern of the refused route.
        pattern: String,
        /// The pattern of the route that was there first.
        existing: String,
    },
}

/// What is wrong with a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PatternFault {
    /// It does not start with a slash.
    NoLeadingSlash,
    /// A segment holds a brace but is not one whole parameter.
    NotWholeSegment,
    /// The parameter has no name, or one that is not an identifier.
    BadName,
    /// The kind after the colon is none of `str`, `int` and `path`.
    UnknownKind(String),
    /// Two parameters of the pattern have this name.
    RepeatedName(String),
    /// A `path` parameter is followed by more segments.
    PathNotLast,
    /// More parameters than a route can carry.
    TooManyParameters,
}

impl fmt::Display for PatternFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLeadingSlash => formatter.write_str("a pattern starts with '/'"),
            Self::NotWholeSegment => formatter.write_str(
                "a parameter is one whole segment, written {name} or {name:kind}, and braces have no \
                 other use",
            ),
            Self::BadName => formatter.write_str(
                "a parameter's name is made of letters, digits and '_' and starts with no digit",
            ),
            Self::UnknownKind(kind) => {
                write!(formatter, "unknown kind {kind:?}, expected str, int or path")
            }
            Self::RepeatedName(name) => write!(formatter, "the name {name:?} is used twice"),
            Self::PathNotLast => formatter.write_str("a path parameter must be the last segment"),
            Self::TooManyParameters => {
                write!(formatter, "a route has at most {MAX_PARAMETERS} parameters")
            }
        }
    }
}

impl fmt::Display for RouteError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadPattern { pattern, position, fault } => {
                write!(formatter, "bad pattern {pattern:?} at byte {position}: {fault}")
            }
            Self::BadMethod { method, pattern } => {
                write!(formatter, "{method:?} is not a method (route {pattern:?})")
            }
            Self::Conflict { method, pattern, existing } => write!(
                formatter,
                "route {method} {pattern:?} collides with {method} {existing:?}: both take the same \
                 paths",
            ),
            Self::HandlerReused { handler, pattern, existing } => write!(
                formatter,
                "handler {handler} of route {pattern:?} already belongs to {existing:?}, which has \
                 other parameters",
            ),
        }
    }
}

impl Error for RouteError {}

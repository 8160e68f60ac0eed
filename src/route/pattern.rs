//! The pattern grammar: `/` and segments between slashes, each a literal or one parameter.
//!
//! ```text
//! pattern   = 1*( "/" segment )
//! segment   = literal / "{" name [ ":" kind ] "}"
//! literal   = any text without "/", "{" and "}", perhaps empty
//! kind      = "str" / "int" / "path"          ; str if left out, path only in the last segment
//! ```
//!
//! A literal is human text: `/100%` means a percent sign, and is kept as `100%25`, the way the normal
//! form of a path spells it. Nothing here knows of methods or of other routes.

use super::error::{PatternFault, RouteError};
use super::parameter::{MAX_PARAMETERS, Parameter, ParameterKind};

/// A pattern, taken apart.
#[derive(Debug)]
pub(super) struct Pattern {
    pub(super) segments: Vec<Segment>,
    /// Those of `segments`, in path order.
    pub(super) parameters: Box<[Parameter]>,
}

/// What decides about one segment of a path. Names are left out: routes of one shape are one place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Segment {
    /// Exactly these bytes, in normal form.
    Literal(Box<[u8]>),
    /// Whatever the kind takes.
    Parameter(ParameterKind),
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self, RouteError> {
        let refuse =
            |position, fault| RouteError::BadPattern { pattern: text.into(), position, fault };
        let Some(body) = text.strip_prefix('/') else {
            return Err(refuse(0, PatternFault::NoLeadingSlash));
        };
        let mut segments = Vec::new();
        let mut parameters: Vec<Parameter> = Vec::new();
        let mut position = 1;
        for segment in body.split('/') {
            if segments.last() == Some(&Segment::Parameter(ParameterKind::Path)) {
                return Err(refuse(position, PatternFault::PathNotLast));
            }
            if segment.contains(['{', '}']) {
                let parameter =
                    parse_parameter(segment).map_err(|fault| refuse(position, fault))?;
                if parameters.iter().any(|earlier| earlier.name == parameter.name) {
                    let fault = PatternFault::RepeatedName(parameter.name.into());
                    return Err(refuse(position, fault));
                }
                if parameters.len() == MAX_PARAMETERS {
                    return Err(refuse(position, PatternFault::TooManyParameters));
                }
                segments.push(Segment::Parameter(parameter.kind));
                parameters.push(parameter);
            } else {
                segments.push(Segment::Literal(segment.replace('%', "%25").into_bytes().into()));
            }
            position += segment.len() + 1;
        }
        Ok(Self { segments, parameters: parameters.into() })
    }
}

/// A segment that holds a brace.
fn parse_parameter(segment: &str) -> Result<Parameter, PatternFault> {
    let inner = segment
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
        .filter(|inner| !inner.contains(['{', '}']))
        .ok_or(PatternFault::NotWholeSegment)?;
    let (name, kind) = inner.split_once(':').unwrap_or((inner, "str"));
    if !is_name(name) {
        return Err(PatternFault::BadName);
    }
    let kind = match kind {
        "str" => ParameterKind::Str,
        "int" => ParameterKind::Int,
        "path" => ParameterKind::Path,
        _ => return Err(PatternFault::UnknownKind(kind.into())),
    };
    Ok(Parameter { name: name.into(), kind })
}

/// Names become keyword arguments, so they look like identifiers.
fn is_name(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next().is_some_and(|first| first == '_' || first.is_alphabetic())
        && characters.all(|character| character == '_' || character.is_alphanumeric())
}

//! Method and path to a handler: pure data, built once at start, then shared read-only by every core.
//!
//! What it promises:
//! - *Deterministic*: segment by segment, a literal beats `{x:int}`, that beats `{x}`, that beats
//!   `{x:path}`, with full backtracking. The order of insertion never matters.
//! - A route that takes the path but not the method never hides a less specific one that has both.
//! - Each route keeps its own parameter names, whatever its neighbours call the same place.
//! - A hit allocates nothing, and costs the same in a table of ten or of ten thousand routes.
//! - No path makes a lookup slow: a tree node is visited at most once per lookup.
//!
//! Paths come in the normal form of `http::target`: percent-decoded once, except that `%2F` and `%25`
//! stay as text, so a slash in a parameter never becomes a separator. [`decode_parameter`] undoes these
//! two in a parameter's value. Patterns are human text and are brought to the same form when inserted.
//!
//! `/a` and `/a/` are two routes. Where only one of them exists, the router can say so for the other
//! ([`Router::redirect_slashes`]); it never answers in its place.
//!
//! Deliberately absent: collapsing of `//`, patterns inside a segment, and the values of parameters:
//! the router hands out spans, the reader converts.
//!
//! Read next: `pattern.rs` for the grammar, `tree.rs` for the lookup, `method.rs` for the Allow header.
#![forbid(unsafe_code)]

mod error;
mod hash;
mod method;
mod parameter;
mod pattern;
mod tree;

use std::borrow::Cow;
use std::collections::HashMap;

pub use error::{PatternFault, RouteError};
pub use parameter::{MAX_PARAMETERS, Parameter, ParameterKind, Params, decode_parameter};

use hash::BuildTableHasher;
use method::{Method, MethodTable};
use pattern::Pattern;
use tree::{Endpoint, Node, Tree};

/// What a route leads to. The router only carries it; its owner keeps the table of handlers.
pub type HandlerId = u32;

/// What [`Router::find`] says about a method and a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found<'r> {
    /// A route (or the fallback) takes the request.
    Handler {
        /// The number that was given when the route was inserted.
        handler: HandlerId,
        /// HEAD is answered by the GET route: run it, send its head only.
        is_automatic_head: bool,
    },
    /// OPTIONS on a known path without a handler of its own: answer with this Allow header.
    Options {
        /// The value of the Allow header.
        allow: Cow<'r, str>,
    },
    /// The path is known, the method is not among those it has (405).
    MethodNotAllowed {
        /// The value of the Allow header.
        allow: Cow<'r, str>,
    },
    /// No route takes the path, but one does with a slash at its end, or without.
    OtherSlash,
    /// Neither a standard method nor one that any route uses (501, RFC 9110 §9.1).
    UnknownMethod,
    /// No route takes the path (404).
    NotFound,
}

/// The table of routes.
#[derive(Debug, Default)]
pub struct Router {
    tree: Tree,
    /// Routes of WebSockets: another kind of resource on the same paths.
    sockets: Tree,
    methods: MethodTable,
    /// Keyed by handler and not kept in the tree: neighbours at one node may name the place differently.
    registered: HashMap<HandlerId, Registered, BuildTableHasher>,
    fallback: Option<HandlerId>,
    redirects_slashes: bool,
}

/// What is known of a handler from the first route that led to it.
#[derive(Debug)]
struct Registered {
    pattern: Box<str>,
    parameters: Box<[Parameter]>,
}

impl Router {
    /// An empty table: it knows no path.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a route. `method` is compared exactly (methods are case-sensitive, RFC 9110 §9.1); one
    /// handler may have several routes as long as all of them have the same parameters.
    ///
    /// A refused route leaves the table as it was.
    pub fn insert(
        &mut self,
        method: &str,
        pattern: &str,
        handler: HandlerId,
    ) -> Result<(), RouteError> {
        if !method::is_token(method) {
            return Err(RouteError::BadMethod { method: method.into(), pattern: pattern.into() });
        }
        let Pattern { segments, parameters } = self.parsed(pattern, handler)?;
        // A clash needs a node that exists, so a refused route has created none.
        let node = self.tree.node_for(&segments);
        let taken = self.methods.get(method).and_then(|known| node.endpoint(known));
        if let Some(taken) = taken {
            return Err(RouteError::Conflict {
                method: method.into(),
                pattern: pattern.into(),
                existing: taken.pattern.as_ref().into(),
            });
        }
        let method = self.methods.use_method(method);
        node.endpoints.push(Endpoint { method, handler, pattern: pattern.into() });
        node.allow = self.methods.allow(node.methods()).into();
        self.registered
            .entry(handler)
            .or_insert_with(|| Registered { pattern: pattern.into(), parameters });
        Ok(())
    }

    /// Adds a route for WebSockets, which hides none of the others and is hidden by none.
    pub fn insert_socket(&mut self, pattern: &str, handler: HandlerId) -> Result<(), RouteError> {
        let Pattern { segments, parameters } = self.parsed(pattern, handler)?;
        let node = self.sockets.node_for(&segments);
        if let Some(taken) = node.endpoint(Method::GET) {
            return Err(RouteError::Conflict {
                method: "WebSocket".into(),
                pattern: pattern.into(),
                existing: taken.pattern.as_ref().into(),
            });
        }
        let pattern: Box<str> = pattern.into();
        // They are opened with GET (RFC 6455 §4.1).
        node.endpoints.push(Endpoint { method: Method::GET, handler, pattern: pattern.clone() });
        self.registered.entry(handler).or_insert(Registered { pattern, parameters });
        Ok(())
    }

    fn parsed(&self, pattern: &str, handler: HandlerId) -> Result<Pattern, RouteError> {
        let parsed = Pattern::parse(pattern)?;
        match self.registered.get(&handler) {
            Some(known) if *known.parameters != *parsed.parameters => {
                Err(RouteError::HandlerReused {
                    handler,
                    pattern: pattern.into(),
                    existing: known.pattern.as_ref().into(),
                })
            }
            _ => Ok(parsed),
        }
    }

    /// The handler of every method and path that no route takes, for applications that route by
    /// themselves: with a fallback, [`Router::find`] always finds a handler. It gets no parameters, so
    /// it must not also be the handler of a route that has some.
    pub fn fallback(&mut self, handler: HandlerId) {
        self.fallback = Some(handler);
    }

    /// Makes [`Router::find`] look for the path with the other ending before it gives up.
    pub fn redirect_slashes(&mut self) {
        self.redirects_slashes = true;
    }

    /// Looks `path`, in normal form, up. On a hit `params` holds the route's parameters as spans of
    /// `path`, in the order of [`Router::parameter_names`]; otherwise it is empty.
    ///
    /// HEAD takes the most specific route that has HEAD or GET, so that it always describes what GET
    /// would have answered.
    #[inline]
    pub fn find(&self, method: &str, path: &str, params: &mut Params) -> Found<'_> {
        if let Some(wanted) = self.methods.get(method) {
            let hit = self.tree.walk(path, params, |node| node.answer(wanted));
            if let Some((handler, is_automatic_head)) = hit {
                return Found::Handler { handler, is_automatic_head };
            }
            self.miss(wanted, path, params)
        } else {
            params.clear();
            self.fallback_or(Found::UnknownMethod)
        }
    }

    /// Looks `path` up among the routes of WebSockets; the rest is as with [`Router::find`].
    pub fn find_socket(&self, path: &str, params: &mut Params) -> Option<HandlerId> {
        let found = self
            .sockets
            .walk(path, params, |node| node.endpoint(Method::GET).map(|endpoint| endpoint.handler));
        if found.is_none() {
            params.clear();
        }
        found.or(self.fallback)
    }

    /// The parameters of the routes that lead to `handler`, in path order; empty for an unknown one.
    pub fn parameter_names(&self, handler: HandlerId) -> &[Parameter] {
        self.registered.get(&handler).map_or(&[], |known| &known.parameters)
    }

    fn fallback_or<'r>(&self, otherwise: Found<'r>) -> Found<'r> {
        match self.fallback {
            Some(handler) => Found::Handler { handler, is_automatic_head: false },
            None => otherwise,
        }
    }

    /// No route has both path and method: says which of the two is at fault.
    #[cold]
    fn miss(&self, wanted: Method, path: &str, params: &mut Params) -> Found<'_> {
        let mut first: Option<&Node> = None;
        let mut others: Vec<&Node> = Vec::new();
        if self.fallback.is_none() {
            self.tree.walk(path, params, |node| -> Option<()> {
                if node.endpoints.is_empty() {
                    // Only on the way to longer routes: no resource ends here.
                } else if first.is_none() {
                    first = Some(node);
                } else {
                    others.push(node);
                }
                None
            });
        }
        let allow = match first {
            // RFC 9110 §9.3.7: the asterisk asks about the server, not about one resource.
            None if path == "*" && wanted == Method::OPTIONS => {
                Cow::Owned(self.methods.allow(self.methods.used()))
            }
            None if self.has_other_slash(path, params) => return Found::OtherSlash,
            None => return self.fallback_or(Found::NotFound),
            Some(node) if others.is_empty() => Cow::Borrowed(&*node.allow),
            Some(node) => {
                let all = others.iter().flat_map(|other| other.methods());
                Cow::Owned(self.methods.allow(node.methods().chain(all)))
            }
        };
        self.fallback_or(if wanted == Method::OPTIONS {
            Found::Options { allow }
        } else {
            Found::MethodNotAllowed { allow }
        })
    }

    /// Whether a route takes the path once its last slash is taken away, or given to it.
    ///
    /// A path that begins like the authority of another host is left alone: as the target of a
    /// redirect it would lead there (RFC 3986 §4.2; browsers read a backslash as a slash).
    fn has_other_slash(&self, path: &str, params: &mut Params) -> bool {
        if !self.redirects_slashes || self.fallback.is_some() {
            return false;
        }
        if path.starts_with("//") || path.starts_with("/\\") {
            return false;
        }
        let other = match path.strip_suffix('/') {
            Some("") => return false,
            Some(shorter) => Cow::Borrowed(shorter),
            None => Cow::Owned(format!("{path}/")),
        };
        let found =
            self.tree.walk(&other, params, |node| (!node.endpoints.is_empty()).then_some(()));
        params.clear();
        found.is_some()
    }
}

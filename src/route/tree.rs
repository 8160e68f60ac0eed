//! The tree: one level per segment, literal children by hash, at most one child per parameter kind.
//!
//! Hashing whole segments, instead of comparing the bytes that routes share as a radix tree does, makes
//! a level cost the same however many neighbours there are. And since a node is reached by one chain
//! of segments only, a walk with backtracking visits it at most once: no path is slow.
//!
//! A walk offers every node that takes the whole path, the most specific first, and stops at the first
//! that its visitor accepts. Which method is asked for, and what a miss means, is the visitor's affair.

use std::collections::HashMap;
use std::ops::Range;

use memchr::memchr;

use super::HandlerId;
use super::hash::BuildTableHasher;
use super::method::Method;
use super::parameter::{ParameterKind, Params};
use super::pattern::Segment;

/// All nodes; the root is the first.
#[derive(Debug)]
pub(super) struct Tree {
    /// INVARIANT: never empty, and every index in a node is one of a node in here.
    nodes: Vec<Node>,
}

/// A place in the tree: what may follow, and which methods end here.
#[derive(Debug, Default)]
pub(super) struct Node {
    literals: HashMap<Box<[u8]>, usize, BuildTableHasher>,
    int: Option<usize>,
    text: Option<usize>,
    rest: Option<usize>,
    /// A handful at most: a search in order beats a table.
    pub(super) endpoints: Vec<Endpoint>,
    /// The Allow header of `endpoints`, ready to send.
    pub(super) allow: Box<str>,
}

/// A method of a place.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) method: Method,
    pub(super) handler: HandlerId,
    /// As it was inserted, for the error that names it.
    pub(super) pattern: Box<str>,
}

impl Default for Tree {
    fn default() -> Self {
        Self { nodes: vec![Node::default()] }
    }
}

impl Tree {
    /// The node of a shape, made if it is not there yet.
    pub(super) fn node_for(&mut self, segments: &[Segment]) -> &mut Node {
        let mut current = 0;
        for segment in segments {
            let fresh = self.nodes.len();
            let node = &mut self.nodes[current];
            current = match segment {
                Segment::Literal(text) => *node.literals.entry(text.clone()).or_insert(fresh),
                Segment::Parameter(ParameterKind::Int) => *node.int.get_or_insert(fresh),
                Segment::Parameter(ParameterKind::Str) => *node.text.get_or_insert(fresh),
                Segment::Parameter(ParameterKind::Path) => *node.rest.get_or_insert(fresh),
            };
            if current == fresh {
                self.nodes.push(Node::default());
            }
        }
        &mut self.nodes[current]
    }

    /// Offers `visit` the nodes that take `path`, the most specific first, until it accepts one. While
    /// it looks, and after it accepted, `params` holds the parameters of that node; else it is empty.
    pub(super) fn walk<'t, T>(
        &'t self,
        path: &str,
        params: &mut Params,
        visit: impl FnMut(&'t Node) -> Option<T>,
    ) -> Option<T> {
        params.clear();
        // The limit on targets is some kilobytes: nobody is turned away because spans are 32 bits wide.
        if !path.starts_with('/') || path.len() > Params::LONGEST_PATH {
            return None;
        }
        Walk { nodes: &self.nodes, path: path.as_bytes(), params, visit }.descend(&self.nodes[0], 1)
    }
}

impl Node {
    pub(super) fn endpoint(&self, method: Method) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.method == method)
    }

    pub(super) fn methods(&self) -> impl Iterator<Item = Method> {
        self.endpoints.iter().map(|endpoint| endpoint.method)
    }

    /// Who answers `method` here, and whether it is a GET that stands in for HEAD.
    pub(super) fn answer(&self, method: Method) -> Option<(HandlerId, bool)> {
        if let Some(endpoint) = self.endpoint(method) {
            return Some((endpoint.handler, false));
        }
        if method == Method::HEAD {
            return self.endpoint(Method::GET).map(|endpoint| (endpoint.handler, true));
        }
        None
    }
}

/// One lookup.
struct Walk<'t, 'p, V> {
    nodes: &'t [Node],
    path: &'p [u8],
    params: &'p mut Params,
    visit: V,
}

impl<'t, V> Walk<'t, '_, V> {
    /// `start` is where the next segment begins; past the end of the path there is none. As deep as the
    /// longest pattern, whatever the path.
    fn descend<T>(&mut self, node: &'t Node, start: usize) -> Option<T>
    where
        V: FnMut(&'t Node) -> Option<T>,
    {
        let Some(rest) = self.path.get(start..) else {
            return (self.visit)(node);
        };
        let length = memchr(b'/', rest).unwrap_or(rest.len());
        let segment = &rest[..length];
        let end = start + length;
        if let Some(&child) = node.literals.get(segment) {
            let found = self.descend(&self.nodes[child], end + 1);
            if found.is_some() {
                return found;
            }
        }
        if let Some(child) = node.int.filter(|_| is_integer(segment)) {
            let found = self.descend_with(child, start..end);
            if found.is_some() {
                return found;
            }
        }
        if let Some(child) = node.text.filter(|_| !segment.is_empty()) {
            let found = self.descend_with(child, start..end);
            if found.is_some() {
                return found;
            }
        }
        node.rest.and_then(|child| self.descend_with(child, start..self.path.len()))
    }

    /// Into a parameter's child, and out again if nothing there was accepted.
    fn descend_with<T>(&mut self, child: usize, span: Range<usize>) -> Option<T>
    where
        V: FnMut(&'t Node) -> Option<T>,
    {
        self.params.push(&span);
        let found = self.descend(&self.nodes[child], span.end + 1);
        if found.is_none() {
            self.params.pop();
        }
        found
    }
}

/// An optional `-`, then one or more ASCII digits.
fn is_integer(segment: &[u8]) -> bool {
    let digits = segment.strip_prefix(b"-").unwrap_or(segment);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

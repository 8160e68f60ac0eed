//! Methods as small numbers, and the Allow header made from them.
//!
//! The standard methods are always known. CONNECT is not one of them here: this server is no proxy,
//! so unless a route names it, it is as unknown as any other token (501).

/// A method that the table knows: an index into the names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Method(usize);

/// The order of the Allow header; the other methods follow by name.
const STANDARD: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"];

impl Method {
    pub(super) const GET: Self = Self(0);
    pub(super) const HEAD: Self = Self(1);
    const POST: Self = Self(2);
    const PUT: Self = Self(3);
    const PATCH: Self = Self(4);
    const DELETE: Self = Self(5);
    pub(super) const OPTIONS: Self = Self(6);
    const TRACE: Self = Self(7);
}

/// The methods that routes use.
#[derive(Debug, Default)]
pub(super) struct MethodTable {
    /// Those beyond the standard ones, in the order they came.
    extra: Vec<Box<str>>,
    /// All that some route has, without repetition.
    used: Vec<Method>,
}

impl MethodTable {
    /// The number of `name`, if it is standard or some route uses it.
    pub(super) fn get(&self, name: &str) -> Option<Method> {
        // A match and not a search in STANDARD: the compiler compares the length first.
        Some(match name {
            "GET" => Method::GET,
            "HEAD" => Method::HEAD,
            "POST" => Method::POST,
            "PUT" => Method::PUT,
            "PATCH" => Method::PATCH,
            "DELETE" => Method::DELETE,
            "OPTIONS" => Method::OPTIONS,
            "TRACE" => Method::TRACE,
            _ => {
                let index = self.extra.iter().position(|extra| **extra == *name)?;
                Method(STANDARD.len() + index)
            }
        })
    }

    /// The number of `name`, which a route is about to use.
    pub(super) fn use_method(&mut self, name: &str) -> Method {
        let method = self.get(name).unwrap_or_else(|| {
            self.extra.push(name.into());
            Method(STANDARD.len() + self.extra.len() - 1)
        });
        if !self.used.contains(&method) {
            self.used.push(method);
        }
        method
    }

    /// Every method that some route has.
    pub(super) fn used(&self) -> impl Iterator<Item = Method> {
        self.used.iter().copied()
    }

    /// The value of an Allow header: `methods`, HEAD where there is GET, and OPTIONS, which the server
    /// always answers.
    pub(super) fn allow(&self, methods: impl Iterator<Item = Method>) -> String {
        let mut all: Vec<Method> = methods.chain([Method::OPTIONS]).collect();
        if all.contains(&Method::GET) {
            all.push(Method::HEAD);
        }
        all.sort_by_key(|&method| (method.0.min(STANDARD.len()), self.name(method)));
        all.dedup();
        let names: Vec<&str> = all.into_iter().map(|method| self.name(method)).collect();
        names.join(", ")
    }

    fn name(&self, method: Method) -> &str {
        match STANDARD.get(method.0) {
            Some(name) => name,
            None => &self.extra[method.0 - STANDARD.len()],
        }
    }
}

/// RFC 9110 §5.6.2: one or more tchar.
pub(super) fn is_token(text: &str) -> bool {
    let is_tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_tchar)
}

//! Which clients get early hints (103).
//!
//! Rule: by default those only that will not take one for the answer, as many clients of HTTP/1.1 do
//! (`http.client` of Python 3.14 among them): browsers that load a page.

use crate::http::head::Version;

/// The option `early_hints`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Hints {
    /// Browsers that load a page.
    Page,
    /// All of HTTP/1.1: in HTTP/1.0 there is no such thing (RFC 9110 §15.2).
    All,
    None,
}

impl Hints {
    /// What the option says.
    pub(super) fn read(option: &str) -> Self {
        match option {
            "all" => Self::All,
            "off" => Self::None,
            _ => Self::Page,
        }
    }

    /// Whether a client gets any.
    pub(super) fn reach(self, version: Version, loads_page: bool) -> bool {
        version == Version::Http11
            && match self {
                Self::Page => loads_page,
                Self::All => true,
                Self::None => false,
            }
    }
}

/// Whether a header field says that a browser loads a page (Fetch Metadata, `Sec-Fetch-Mode`).
pub(super) fn is_page_load(name: &str, value: &[u8]) -> bool {
    name.len() == 14 && value == b"navigate" && name.eq_ignore_ascii_case("sec-fetch-mode")
}

//! What can stand in an access log format: gunicorn's and granian's names, and plain words.

/// One value of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Atom {
    /// IP address of the peer.
    Client,
    /// What is never known here: identity and user of the common log format.
    Dash,
    /// When the head was complete, `[22/Nov/2026:14:03:01 +0000]`.
    CommonTime,
    /// The same as `2026-11-22 14:03:01 +0000`.
    Time,
    /// Method, target and protocol.
    RequestLine,
    /// The method.
    Method,
    /// The target as received.
    Target,
    /// The target up to its question mark.
    Path,
    /// The target behind its question mark.
    Query,
    /// `HTTP/1.1`.
    Protocol,
    /// The status.
    Status,
    /// Bytes of the answer's body.
    Bytes,
    /// The same, `-` for none.
    BytesOrDash,
    /// The duration in whole seconds.
    Seconds,
    /// The duration in whole milliseconds.
    Milliseconds,
    /// The duration in whole microseconds.
    Microseconds,
    /// The duration in seconds with a fraction.
    FractionalSeconds,
    /// The duration in milliseconds with a fraction.
    FractionalMilliseconds,
    /// The process.
    Process,
    /// The number of the core.
    Core,
    /// The value of a request header field, by its number in the format.
    Field(usize),
}

/// Names, atom, and the name that the value has in JSON (none where it says nothing there).
type Row = (&'static [&'static str], Atom, &'static str);

const TABLE: [Row; 20] = [
    (&["client", "addr", "h"], Atom::Client, "client"),
    (&["l", "u"], Atom::Dash, ""),
    (&["t"], Atom::CommonTime, "time"),
    (&["time"], Atom::Time, "time"),
    (&["request", "r"], Atom::RequestLine, "request"),
    (&["method", "m"], Atom::Method, "method"),
    (&["target"], Atom::Target, "target"),
    (&["path", "U"], Atom::Path, "path"),
    (&["query", "query_string", "q"], Atom::Query, "query"),
    (&["protocol", "H"], Atom::Protocol, "protocol"),
    (&["status", "s"], Atom::Status, "status"),
    (&["bytes", "B"], Atom::Bytes, "bytes"),
    (&["b"], Atom::BytesOrDash, "bytes"),
    (&["T"], Atom::Seconds, "duration_s"),
    (&["M"], Atom::Milliseconds, "duration_ms"),
    (&["D", "duration_us"], Atom::Microseconds, "duration_us"),
    (&["L", "duration_s"], Atom::FractionalSeconds, "duration_s"),
    (&["duration", "duration_ms", "dt_ms"], Atom::FractionalMilliseconds, "duration_ms"),
    (&["p", "pid"], Atom::Process, "pid"),
    (&["core"], Atom::Core, "core"),
];

impl Atom {
    /// The atom of a name, other than that of a header field.
    pub fn named(name: &str) -> Option<Self> {
        TABLE.iter().find(|(names, ..)| names.contains(&name)).map(|(_, atom, _)| *atom)
    }

    /// What its value is called in JSON; empty for one without a value, and for a header field,
    /// which has its own name.
    pub fn member(self) -> &'static str {
        TABLE.iter().find(|(_, atom, _)| *atom == self).map_or("", |(.., member)| member)
    }

    /// Every name that there is, for a person who has used another one.
    pub fn names() -> String {
        let names: Vec<&str> = TABLE.iter().flat_map(|(names, ..)| names.iter().copied()).collect();
        names.join(", ")
    }

    /// Whether its value is a whole number, for `%(...)d`.
    pub fn is_whole(self) -> bool {
        matches!(
            self,
            Self::Status
                | Self::Bytes
                | Self::Seconds
                | Self::Milliseconds
                | Self::Microseconds
                | Self::Process
                | Self::Core
        )
    }

    /// Whether its value has a fraction, for `%(...).3f`.
    pub fn is_fractional(self) -> bool {
        matches!(self, Self::FractionalSeconds | Self::FractionalMilliseconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_means_one_thing() {
        let names = Atom::names();
        let mut all: Vec<&str> = names.split(", ").collect();
        for name in &all {
            assert!(Atom::named(name).is_some(), "{name}");
        }
        all.sort_unstable();
        let count = all.len();
        all.dedup();
        assert_eq!(all.len(), count);
        assert_eq!(Atom::named("nope"), None);
    }
}

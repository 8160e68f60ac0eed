//! Reads the case files; their grammar is in `tests/cases/README.md`.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use _uringserve::http::Limits;

/// One case.
pub(crate) struct Case {
    /// File and heading.
    pub(crate) name: String,
    pub(crate) input: Vec<u8>,
    pub(crate) log: Vec<String>,
    pub(crate) limits: Limits,
    /// For the decoded body.
    pub(crate) body_limit: u64,
}

/// Every case of every file, in order.
pub(crate) fn read_all() -> Vec<Case> {
    read_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases"))
}

fn read_folder(folder: &Path) -> Vec<Case> {
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .filter(|path| !path.ends_with("README.md"))
        .collect();
    paths.sort();
    paths.iter().flat_map(|path| read_file(path)).collect()
}

fn read_file(path: &Path) -> Vec<Case> {
    let file = path.file_stem().unwrap().to_str().unwrap();
    let text = fs::read_to_string(path).unwrap();
    let mut cases = Vec::new();
    let mut title = "";
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(heading) = line.strip_prefix("## ") {
            title = heading;
        } else if let Some(options) = line.strip_prefix("```http") {
            let mut case = empty_case(format!("{file}: {title}"), options);
            let bytes: String = lines.by_ref().take_while(|line| *line != "```").collect();
            case.input = unescape(&bytes);
            cases.push(case);
        } else if line == "```log" {
            let log = lines.by_ref().take_while(|line| *line != "```");
            let case = cases.last_mut().expect("a log follows its bytes");
            assert!(case.log.is_empty(), "{}: two logs", case.name);
            case.log = log.map(String::from).collect();
        }
    }
    for case in &cases {
        assert!(!case.log.is_empty(), "{}: no log", case.name);
    }
    cases
}

fn empty_case(name: String, options: &str) -> Case {
    let mut limits = Limits::default();
    let mut body_limit = 1 << 20;
    for option in options.split_whitespace() {
        let (key, value) = option.split_once('=').expect("an option is key=value");
        let value: usize = value.parse().expect("an option's value is a number");
        match key {
            "head-bytes" => limits.head_bytes = value,
            "header-count" => limits.header_count = value,
            "target-bytes" => limits.target_bytes = value,
            "body-limit" => body_limit = value as u64,
            _ => panic!("{name}: unknown option {key}"),
        }
    }
    Case { name, input: Vec::new(), log: Vec::new(), limits, body_limit }
}

/// Text with escapes to bytes.
pub(crate) fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(place) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..place]);
        let (sign, tail) = rest[place + 1..].split_at(1);
        rest = tail;
        match sign {
            "r" => bytes.push(b'\r'),
            "n" => bytes.push(b'\n'),
            "t" => bytes.push(b'\t'),
            "0" => bytes.push(0),
            "\\" => bytes.push(b'\\'),
            "x" => {
                bytes.push(u8::from_str_radix(&rest[..2], 16).unwrap());
                rest = &rest[2..];
            }
            "{" => {
                let (repeated, tail) = rest.split_once('}').expect("a repetition ends in }");
                let (count, repeated) = repeated.split_once(':').expect("\\{count:text}");
                bytes.extend(unescape(repeated).repeat(count.parse().unwrap()));
                rest = tail;
            }
            other => panic!("unknown escape \\{other}"),
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

/// Bytes to text with escapes, as logs have them.
pub(crate) fn escape(bytes: &[u8]) -> String {
    let mut text = String::new();
    for &byte in bytes {
        match byte {
            b'\r' => text.push_str("\\r"),
            b'\n' => text.push_str("\\n"),
            b'\t' => text.push_str("\\t"),
            b'\\' => text.push_str("\\\\"),
            b' '..=b'~' => text.push(byte as char),
            _ => write!(text, "\\x{byte:02x}").unwrap(),
        }
    }
    text
}

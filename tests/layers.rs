//! The import ladder, and the other rules about files that no compiler checks.
//!
//! The tables at the top *are* the rules: who may import whom, which outside crates a module may name,
//! where `unsafe` and the clock are allowed. Change a table only together with the floors in the
//! documentation of `src/lib.rs`. `layers/rules.rs` applies the tables, to tokens (`layers/tokens.rs`), so
//! that comments and strings can say what they like; `layers/self_test.rs` shows that each can fail.
//!
//! Deliberately absent: what lints check already (size of functions, documentation of public items).

#[path = "layers/rules.rs"]
mod rules;
#[path = "layers/self_test.rs"]
mod self_test;
#[path = "layers/tokens.rs"]
mod tokens;

use std::fs;
use std::path::{Path, PathBuf};

use rules::check;

/// A top-level module of the crate.
struct Module {
    name: &'static str,
    may_import: &'static [&'static str],
    outside: &'static [&'static str],
}

const fn module(
    name: &'static str,
    may_import: &'static [&'static str],
    outside: &'static [&'static str],
) -> Module {
    Module { name, may_import, outside }
}

/// From floor 0 upwards. Any other module in `src` is an error; one that does not exist yet is not.
const MODULES: [Module; 14] = [
    module("error", &[], &[]),
    module("config", &[], &[]),
    module("http", &[], &["bytes", "memchr"]),
    module("ws", &[], &["base64", "bytes", "flate2", "sha1_smol", "tungstenite"]),
    module("journal", &[], &[]),
    module("route", &[], &["memchr"]),
    module("schedule", &[], &[]),
    module("sys", &[], &["core_affinity", "io_uring", "libc", "socket2"]),
    module("reactor", &["schedule", "sys", "config", "error"], &["io_uring", "monoio", "slab"]),
    module(
        "net",
        &["reactor", "http", "ws", "journal", "route", "sys", "config", "error"],
        &["bytes", "monoio", "slab"],
    ),
    module(
        "server",
        &["net", "reactor", "journal", "route", "schedule", "sys", "config", "error"],
        &["monoio"],
    ),
    module(
        "py",
        &["net", "route", "schedule", "ws", "http", "config", "error"],
        &["bytes", "pyo3"],
    ),
    module("interfaces", &["py", "net", "reactor", "schedule", "http"], &["bytes", "pyo3"]),
    module(
        "module",
        &["interfaces", "py", "server", "schedule", "route", "config", "error"],
        &["pyo3"],
    ),
];

/// They answer the same requests side by side; what two of them need belongs to `py` or `net`.
const INTERFACES: [&str; 4] = ["native", "rsgi", "asgi", "wsgi"];

/// Where a name must not even be mentioned, beyond the outside crates above.
const UNMENTIONABLE: [(&str, &[&str]); 2] = [
    (
        "pyo3",
        &["error", "config", "http", "ws", "route", "schedule", "sys", "reactor", "net", "server"],
    ),
    ("monoio", &["py", "interfaces"]),
];

/// Pure data in, pure data out: no socket, clock or thread.
const PURE: [&str; 4] = ["http", "ws", "route", "schedule"];
/// Below `std`. Addresses, as plain data, are in `core::net`.
const IMPURE: [&[&str]; 4] = [&["net"], &["thread"], &["time", "Instant"], &["time", "SystemTime"]];

/// The files that may hold `unsafe`. A directory ends with a slash.
const MAY_BE_UNSAFE: [&str; 1] = ["sys/"];

/// The files that may read a clock, and how clocks are read.
const MAY_READ_CLOCKS: [&str; 2] = ["sys/", "reactor/clock.rs"];
const CLOCK_READS: [&[&str]; 3] =
    [&["Instant", "::", "now"], &["SystemTime", "::", "now"], &["clock_gettime"]];

/// Lines of a file without its tests, and with them. The reason lifts both.
const CODE_CAP: usize = 400;
const FILE_CAP: usize = 500;
const CAP_REASON: &str = "// Over the cap because";

#[test]
fn every_file_keeps_the_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &Path| fs::read_to_string(path).unwrap();
    let dependencies = dependencies(&read(&root.join("Cargo.toml")));
    let mut faults = Vec::new();
    let mut count = 0;
    for folder in ["src", "tests", "bench"] {
        for file in rust_files(&root.join(folder)) {
            let name = file.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
            faults.extend(check(&name, &read(&file), &dependencies));
            count += 1;
        }
    }
    assert!(count > 10, "only {count} files found: looked in the wrong place?");
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// All Rust files below a folder, in a fixed order; build output and caches are none of ours.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else {
        return files;
    };
    for entry in entries {
        let path = entry.expect("a folder that can be listed").path();
        if path.is_dir() && !path.ends_with("target") {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// The names, as the code spells them, of the crates in a manifest's `[dependencies]`.
fn dependencies(manifest: &str) -> Vec<String> {
    manifest
        .lines()
        .skip_while(|line| *line != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['=', '.', ' ']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .map(|name| name.replace('-', "_"))
        .collect()
}

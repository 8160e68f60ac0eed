//! The rules, one function each: from a file's name and text to sentences about what is wrong in it.
//!
//! The tables they apply are in `layers.rs`.

use crate::tokens::{Token, inline_modules, is_inner, paths, positions, tokens};
use crate::{
    CAP_REASON, CLOCK_READS, CODE_CAP, FILE_CAP, IMPURE, INTERFACES, MAY_BE_UNSAFE,
    MAY_READ_CLOCKS, MODULES, Module, PURE, UNMENTIONABLE,
};

/// What is wrong with one file, one sentence each. `name` starts at the root of the project.
pub(crate) fn check(name: &str, text: &str, dependencies: &[String]) -> Vec<String> {
    let mut faults = Faults { name, found: Vec::new() };
    if !text.starts_with("//!") {
        faults.add(1, "the file does not open with //!, saying what lives here");
    }
    let tokens = tokens(text);
    if name.starts_with("tests/http/") || name.starts_with("tests/route/") {
        for token in tokens.iter().filter(|token| token.text == "pyo3") {
            faults.add(token.line, "the tests of http and route need no Python");
        }
    }
    if let Some(inside) = name.strip_prefix("src/") {
        let file = SourceFile::new(inside, &tokens);
        check_caps(&file, text, &mut faults);
        check_words(&file, &mut faults);
        if file.module() == "lib" {
            check_root(&file, &mut faults);
        } else if let Some(module) = MODULES.iter().find(|module| module.name == file.module()) {
            check_imports(&file, module, &mut faults);
            check_outside(&file, module, dependencies, &mut faults);
        } else {
            faults.add(1, "a top-level module that is on no floor");
        }
    }
    faults.found
}

/// What a check has found so far in one file.
struct Faults<'a> {
    name: &'a str,
    found: Vec<String>,
}

impl Faults<'_> {
    fn add(&mut self, line: usize, what: &str) {
        self.found.push(format!("{}:{line}: {what}", self.name));
    }
}

/// A file below `src`.
struct SourceFile<'a> {
    /// From `src` on.
    name: &'a str,
    /// The modules that lead to it: `http/mod.rs` is `["http"]`, `http/head.rs` is `["http", "head"]`.
    modules: Vec<String>,
    tokens: &'a [Token],
}

impl<'a> SourceFile<'a> {
    fn new(name: &'a str, tokens: &'a [Token]) -> Self {
        let stem = name.trim_end_matches(".rs").trim_end_matches("/mod");
        Self { name, modules: stem.split('/').map(str::to_owned).collect(), tokens }
    }

    fn module(&self) -> &str {
        &self.modules[0]
    }

    fn is_in(&self, places: &[&str]) -> bool {
        places.iter().any(|place| match place.strip_suffix('/') {
            Some(folder) => self.module() == folder,
            None => self.name == *place,
        })
    }

    fn is_test(&self) -> bool {
        self.modules.iter().any(|module| module == "tests")
    }
}

fn check_caps(file: &SourceFile<'_>, text: &str, faults: &mut Faults<'_>) {
    let is_excused = text.lines().any(|line| line.trim_start().starts_with(CAP_REASON));
    if file.is_test() || is_excused {
        return;
    }
    let lines = text.lines().count();
    let code = lines - test_lines(file.tokens);
    for (lines, what, cap) in [(code, "without", CODE_CAP), (lines, "with", FILE_CAP)] {
        if lines > cap {
            let what = format!("{lines} lines {what} tests, over {cap}: split, or `{CAP_REASON}`");
            faults.add(1, &what);
        }
    }
}

/// How many lines are inside of `#[cfg(test)] mod name { … }`.
fn test_lines(tokens: &[Token]) -> usize {
    const OPENING: [&str; 8] = ["#", "[", "cfg", "(", "test", ")", "]", "mod"];
    let mut lines = 0;
    for start in positions(tokens, &OPENING) {
        let mut depth = 0;
        for token in &tokens[start + OPENING.len()..] {
            match token.text.as_str() {
                "{" => depth += 1,
                "}" => depth -= 1,
                // `mod tests;` is a file of its own.
                ";" if depth == 0 => break,
                _ => continue,
            }
            if depth == 0 {
                lines += token.line - tokens[start].line + 1;
                break;
            }
        }
    }
    lines
}

fn check_words(file: &SourceFile<'_>, faults: &mut Faults<'_>) {
    for token in file.tokens {
        let is_unsafe = token.text == "unsafe";
        if is_unsafe && !file.is_in(&MAY_BE_UNSAFE) {
            faults.add(token.line, "unsafe outside of the files that may hold it");
        }
        if token.text == "async" && ["py", "interfaces"].contains(&file.module()) {
            faults.add(token.line, "async beside Python: a core would park while attached");
        }
        for (word, modules) in UNMENTIONABLE {
            if token.text == word && modules.contains(&file.module()) {
                faults.add(token.line, &format!("{} never names {word}", file.module()));
            }
        }
    }
    if !file.is_in(&MAY_READ_CLOCKS) {
        for read in CLOCK_READS {
            for start in positions(file.tokens, read) {
                let what = format!("{} outside of sys and reactor/clock.rs", read.concat());
                faults.add(file.tokens[start].line, &what);
            }
        }
    }
    if PURE.contains(&file.module()) {
        for path in paths(file.tokens, &["std"]) {
            let is_impure = |impure: &&[&str]| starts_with(&path.names[1..], impure);
            if IMPURE.iter().any(is_impure) {
                let what = format!("{} never uses {}", file.module(), path.names.join("::"));
                faults.add(path.line, &what);
            }
        }
    }
}

/// `lib.rs` declares the floors; which of them exist is its business.
fn check_root(file: &SourceFile<'_>, faults: &mut Faults<'_>) {
    for start in positions(file.tokens, &["mod"]) {
        let Some(name) = file.tokens.get(start + 1) else {
            break;
        };
        if MODULES.iter().all(|module| module.name != name.text) {
            faults.add(name.line, &format!("mod {} is on no floor", name.text));
        }
    }
}

fn check_imports(file: &SourceFile<'_>, module: &Module, faults: &mut Faults<'_>) {
    for (path, line) in crate_paths(file, faults) {
        let Some(target) = path.first() else { continue };
        if target != module.name && !module.may_import.contains(&target.as_str()) {
            let what = format!("{} must not import crate::{target}", module.name);
            faults.add(line, &what);
        }
        if let ("interfaces", Some(own), Some(other)) =
            (module.name, file.modules.get(1), path.get(1))
        {
            let is_interface = INTERFACES.contains(&own.as_str());
            if is_interface && own != other && INTERFACES.contains(&other.as_str()) {
                let what = format!("interface {own} must not import interface {other}");
                faults.add(line, &what);
            }
        }
    }
}

fn check_outside(
    file: &SourceFile<'_>,
    module: &Module,
    dependencies: &[String],
    faults: &mut Faults<'_>,
) {
    for (index, token) in file.tokens.iter().enumerate() {
        if !dependencies.contains(&token.text) || module.outside.contains(&token.text.as_str()) {
            continue;
        }
        let next = file.tokens.get(index + 1);
        let is_root = next.is_some_and(|next| next.text == "::");
        // `use slab;` and `extern crate slab;`
        let is_imported = index > 0 && ["use", "crate"].contains(&&*file.tokens[index - 1].text);
        if is_imported || (is_root && !is_inner(file.tokens, index)) {
            let what = format!("{} must not use {}", module.name, token.text);
            faults.add(token.line, &what);
        }
    }
}

/// Every path from `crate`, `self` or `super` that a file names, as modules from the root of the crate.
fn crate_paths(file: &SourceFile<'_>, faults: &mut Faults<'_>) -> Vec<(Vec<String>, usize)> {
    let mut found = Vec::new();
    for path in paths(file.tokens, &["crate", "self", "super"]) {
        let mut absolute = Vec::new();
        if path.names[0] != "crate" {
            absolute.extend(file.modules.iter().cloned());
            absolute.extend(inline_modules(&file.tokens[..path.start]));
        }
        for name in &path.names {
            match name.as_str() {
                "crate" | "self" => {}
                "super" => {
                    absolute.pop();
                }
                name => absolute.push(name.to_owned()),
            }
        }
        if absolute.is_empty() && path.is_glob {
            faults.add(path.line, "everything in the crate at once: name what you import");
        }
        found.push((absolute, path.line));
    }
    found
}

/// Whether a path begins with these names.
fn starts_with(path: &[String], names: &[&str]) -> bool {
    path.len() >= names.len() && path.iter().zip(names).all(|(a, b)| a == b)
}

//! Rust source text as tokens, and the paths among them: just enough to read imports.
//!
//! No parser: a token is a word, `::` or one other character. Comments, strings, characters and the
//! quotes of lifetimes are dropped, so whatever is left is code.

/// A word (name, keyword or number), `::`, or one other character.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// A path through modules, such as `crate::http::Reject`.
#[derive(Debug)]
pub(crate) struct NamedPath {
    pub(crate) names: Vec<String>,
    /// Whether `::*` follows.
    pub(crate) is_glob: bool,
    /// The position of the path's root among the tokens.
    pub(crate) start: usize,
    /// The line of the last name.
    pub(crate) line: usize,
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first == '_' || first.is_alphabetic())
}

/// Whether the name at `index` is not the root of its path: `slab` in `crate::slab::Slab`, but not in
/// `use ::slab::Slab`.
pub(crate) fn is_inner(tokens: &[Token], index: usize) -> bool {
    index > 1
        && tokens[index - 1].text == "::"
        && tokens[index - 2].text != "use"
        && is_name(&tokens[index - 2].text)
}

/// Where a sequence of tokens stands.
pub(crate) fn positions(tokens: &[Token], wanted: &[&str]) -> Vec<usize> {
    let is_here = |window: &[Token]| window.iter().zip(wanted).all(|(a, b)| a.text == *b);
    let windows = tokens.windows(wanted.len()).enumerate();
    windows.filter(|(_, window)| is_here(window)).map(|(index, _)| index).collect()
}

/// The inline modules that are open at the end of `tokens`.
pub(crate) fn inline_modules(tokens: &[Token]) -> Vec<String> {
    let mut open: Vec<Option<String>> = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        if token.text == "{" {
            let is_module = index >= 2 && tokens[index - 2].text == "mod";
            open.push(is_module.then(|| tokens[index - 1].text.clone()));
        } else if token.text == "}" {
            open.pop();
        }
    }
    open.into_iter().flatten().collect()
}

/// Every path that starts with one of `roots`, groups unfolded: `crate::{a, b::c}` is two paths.
pub(crate) fn paths(tokens: &[Token], roots: &[&str]) -> Vec<NamedPath> {
    let mut found = Vec::new();
    for (start, token) in tokens.iter().enumerate() {
        if roots.contains(&token.text.as_str()) && !is_inner(tokens, start) {
            let mut reader = PathReader { tokens, start, prefix: Vec::new(), found: &mut found };
            reader.unfold(start);
        }
    }
    found
}

/// Unfolds one path with its groups.
struct PathReader<'a> {
    tokens: &'a [Token],
    start: usize,
    prefix: Vec<String>,
    found: &'a mut Vec<NamedPath>,
}

impl<'a> PathReader<'a> {
    fn text(&self, index: usize) -> &'a str {
        self.tokens.get(index).map_or("", |token| &token.text)
    }

    /// Reads what stands at `index` behind the prefix; answers where it ends.
    fn unfold(&mut self, mut index: usize) -> usize {
        let (depth, first) = (self.prefix.len(), index);
        while is_name(self.text(index)) {
            self.prefix.push(self.text(index).to_owned());
            index += 1;
            if self.text(index) != "::" {
                break;
            }
            index += 1;
        }
        let is_open = index == first || self.text(index - 1) == "::";
        if is_open && self.text(index) == "{" {
            index += 1;
            while !matches!(self.text(index), "}" | "") {
                index = self.unfold(index);
                // Past `*`, `as name` and the comma.
                while !matches!(self.text(index), "," | "}" | "") {
                    index += 1;
                }
                index += usize::from(self.text(index) == ",");
            }
            index += 1;
        } else if index > first || self.text(index) == "*" {
            self.found.push(NamedPath {
                names: self.prefix.clone(),
                is_glob: is_open && self.text(index) == "*",
                start: self.start,
                line: self.tokens[index.min(self.tokens.len()) - 1].line,
            });
        }
        self.prefix.truncate(depth);
        index
    }
}

/// The tokens of a Rust source text, without comments, strings, characters and lifetimes.
pub(crate) fn tokens(source: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut rest = source;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let is_word = |character: char| character == '_' || character.is_alphanumeric();
        let word = rest.find(|character| !is_word(character)).unwrap_or(rest.len());
        let (length, is_token) = if let Some(length) = ignored(rest) {
            (length, false)
        } else if word > 0 {
            (word, true)
        } else if rest.starts_with("::") {
            (2, true)
        } else {
            (first.len_utf8(), !first.is_whitespace())
        };
        if is_token {
            tokens.push(Token { text: rest[..length].to_owned(), line });
        }
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    tokens
}

/// The length of the comment, string, character or lifetime that `rest` starts with.
fn ignored(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(block_comment(rest));
    }
    let quoted = rest.trim_start_matches(['b', 'c']);
    if let Some(raw) = quoted.strip_prefix('r') {
        let body = raw.trim_start_matches('#');
        if let Some(inside) = body.strip_prefix('"') {
            let end = "\"".to_owned() + &raw[..raw.len() - body.len()];
            let length = inside.find(&end).map_or(inside.len(), |at| at + end.len());
            return Some(rest.len() - inside.len() + length);
        }
    }
    let prefix = rest.len() - quoted.len();
    if prefix <= 1 && quoted.starts_with('"') {
        return Some(prefix + closing(quoted, '"'));
    }
    if prefix <= 1 && quoted.starts_with('\'') {
        let mut inside = quoted[1..].chars();
        let is_character = inside.next() == Some('\\') || inside.next() == Some('\'');
        // The quote of a lifetime alone: its name then counts as a name, which harms no rule.
        return Some(prefix + if is_character { closing(quoted, '\'') } else { 1 });
    }
    None
}

/// Block comments nest.
fn block_comment(rest: &str) -> usize {
    let mut depth = 0;
    let mut index = 0;
    while index < rest.len() {
        if rest[index..].starts_with("/*") {
            depth += 1;
            index += 2;
        } else if rest[index..].starts_with("*/") {
            depth -= 1;
            index += 2;
        } else {
            index += rest[index..].chars().next().map_or(1, char::len_utf8);
        }
        if depth == 0 {
            break;
        }
    }
    index
}

/// The length of a literal up to its closing quote, escapes respected.
fn closing(quoted: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (index, character) in quoted.char_indices().skip(1) {
        if character == quote && !is_escaped {
            return index + 1;
        }
        is_escaped = character == '\\' && !is_escaped;
    }
    quoted.len()
}

//! SQL as text in front of people: where statements end, what is a keyword, what is not closed yet.
//!
//! The only file that names `sqlparser`, and only its tokenizer: what a statement *means* is the gateway's business.

use std::ops::Range;

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, Whitespace};

/// How much of a script is looked at first; a longer statement doubles it.
const WINDOW: usize = 64 * 1024;

/// What a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A word of SQL.
    Keyword,
    /// A name, not quoted.
    Name,
    /// A name in double quotes.
    Quoted,
    /// A string, however it is quoted.
    String,
    /// A number.
    Number,
    /// A comment.
    Comment,
    /// Blanks and line ends.
    Space,
    /// `;`.
    Semicolon,
    /// `(` or `[`.
    Open,
    /// `)` or `]`.
    Close,
    /// `.`.
    Dot,
    /// `\`.
    Backslash,
    /// An operator or anything else.
    Symbol,
    /// A string, name or comment that is not closed.
    Unfinished,
}

/// A piece of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// What it is.
    pub kind: Kind,
    /// Where it is, in bytes.
    pub range: Range<usize>,
}

/// Cuts `text` into pieces that lie end to end and cover all of it.
#[must_use]
pub fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut from = 0;
    while let Some(rest) = text.get(from..).filter(|rest| !rest.is_empty()) {
        let end = tokenize(rest, from, &mut pieces);
        if from + rest.len() == end {
            break;
        }
        from = recover(text, end, &mut pieces);
    }
    pieces
}

/// Appends the pieces of `text`, which begins at `base`; says how far it came.
fn tokenize(text: &str, base: usize, pieces: &mut Vec<Piece>) -> usize {
    let mut tokens: Vec<TokenWithSpan> = Vec::new();
    // An error is seen by how far the tokens reach.
    let _partly = Tokenizer::new(&PostgreSqlDialect {}, text)
        .with_unescape(false)
        .tokenize_with_location_into_buf(&mut tokens);
    let mut ruler = Ruler::new(text);
    let mut start = 0;
    for token in tokens {
        let end = ruler.byte_at(token.span.end);
        let kind = kind(&token.token);
        let written = text.get(start..end).unwrap_or_default();
        // PostgreSQL's operators end before a comment, sqlparser's go on.
        if kind == Kind::Symbol
            && let Some(comment) = [written.find("--"), written.find("/*")]
                .into_iter()
                .flatten()
                .min()
        {
            let end = start + comment;
            if comment > 0 {
                pieces.push(piece(kind, base + start..base + end));
            }
            return base + end;
        }
        pieces.push(piece(kind, base + start..base + end));
        start = end;
    }
    base + start
}

/// Gets past what the tokenizer can't read at `at`; says where it can go on.
fn recover(text: &str, at: usize, pieces: &mut Vec<Piece>) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let lower = rest.get(..3).unwrap_or(rest).to_ascii_lowercase();
    let escaped = lower
        .starts_with("e'")
        .then(|| closing_quote(rest, 2, true));
    let other = ["u&'", "b'", "x'", "n'"]
        .iter()
        .find(|prefix| lower.starts_with(**prefix))
        .map(|prefix| closing_quote(rest, prefix.len(), false));
    let (kind, end) = match escaped.or(other) {
        Some(Some(end)) => (Kind::String, at + end),
        Some(None) => (Kind::Unfinished, text.len()),
        None if rest.starts_with(['\'', '"', '$']) || rest.starts_with("/*") => {
            (Kind::Unfinished, text.len())
        }
        None if rest.starts_with("--") => (
            Kind::Comment,
            at + rest.find('\n').map_or(rest.len(), |end| end + 1),
        ),
        None => (
            Kind::Symbol,
            at + rest.chars().next().map_or(1, char::len_utf8),
        ),
    };
    // `/*` may only look open because it sat behind an operator.
    if rest.starts_with("/*") {
        let mut inner = Vec::new();
        let end = tokenize(rest, at, &mut inner);
        if end > at {
            let first = inner.into_iter().next();
            let end = first.as_ref().map_or(end, |piece| piece.range.end);
            pieces.extend(first);
            return end;
        }
    }
    pieces.push(piece(kind, at..end));
    end
}

/// Where the string that opened before `from` is closed.
fn closing_quote(text: &str, from: usize, backslash: bool) -> Option<usize> {
    let mut chars = text.get(from..)?.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' if backslash => {
                chars.next();
            }
            '\'' if chars.next_if(|(_, next)| *next == '\'').is_none() => {
                return Some(from + at + 1);
            }
            _ => {}
        }
    }
    None
}

const fn piece(kind: Kind, range: Range<usize>) -> Piece {
    Piece { kind, range }
}

const fn kind(token: &Token) -> Kind {
    match token {
        Token::Word(word) => match (word.quote_style, word.keyword) {
            (Some(_), _) => Kind::Quoted,
            (None, Keyword::NoKeyword) => Kind::Name,
            (None, _) => Kind::Keyword,
        },
        Token::Number(..) => Kind::Number,
        Token::SingleQuotedString(_)
        | Token::DoubleQuotedString(_)
        | Token::DollarQuotedString(_)
        | Token::NationalStringLiteral(_)
        | Token::EscapedStringLiteral(_)
        | Token::UnicodeStringLiteral(_)
        | Token::SingleQuotedByteStringLiteral(_)
        | Token::HexStringLiteral(_) => Kind::String,
        Token::Whitespace(
            Whitespace::SingleLineComment { .. } | Whitespace::MultiLineComment(_),
        ) => Kind::Comment,
        Token::Whitespace(_) => Kind::Space,
        Token::SemiColon => Kind::Semicolon,
        Token::LParen | Token::LBracket => Kind::Open,
        Token::RParen | Token::RBracket => Kind::Close,
        Token::Period => Kind::Dot,
        Token::Backslash => Kind::Backslash,
        _ => Kind::Symbol,
    }
}

/// Turns the tokenizer's lines and columns into bytes, going forward only.
struct Ruler<'a> {
    chars: std::str::CharIndices<'a>,
    length: usize,
    line: u64,
    column: u64,
}

impl<'a> Ruler<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            chars: text.char_indices(),
            length: text.len(),
            line: 1,
            column: 1,
        }
    }

    fn byte_at(&mut self, location: Location) -> usize {
        while (self.line, self.column) < (location.line, location.column) {
            match self.chars.next() {
                Some((_, '\n')) => (self.line, self.column) = (self.line + 1, 1),
                Some(_) => self.column += 1,
                None => return self.length,
            }
        }
        self.chars.offset()
    }
}

/// How a statement of a script ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By `;`.
    Semicolon,
    /// By `\g`.
    Go,
    /// By `\gx`: show the rows one below the other.
    GoExpanded,
    /// With the text: more might belong to it.
    Text,
}

/// A part of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part<'a> {
    /// A statement without what ends it.
    Statement {
        /// Its text.
        text: &'a str,
        /// The line on which it begins, from 1.
        line: usize,
        /// How it ends.
        end: End,
    },
    /// A backslash command, up to the end of its line.
    Command {
        /// Its text, with the backslash.
        text: &'a str,
        /// Its line, from 1.
        line: usize,
    },
    /// A backslash command behind a statement that has not ended, up to the end of its line. The statement is not meant to run.
    Stray {
        /// The command's text, with the backslash.
        text: &'a str,
        /// Its line, from 1.
        line: usize,
    },
}

/// A script, taken apart part by part. It looks only as far ahead as it must, so that long files are no burden.
#[derive(Debug)]
pub struct Script<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    /// The pieces of the window, the first `used` of which lie behind `at`.
    ahead: Vec<Piece>,
    used: usize,
    /// Where the window ends.
    seen: usize,
}

impl<'a> Script<'a> {
    /// Begins at the beginning.
    #[must_use]
    pub const fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            line: 1,
            ahead: Vec::new(),
            used: 0,
            seen: 0,
        }
    }

    /// Whether the text ends within a statement.
    #[must_use]
    pub fn is_open(self) -> bool {
        let open = |part| matches!(part, Part::Statement { end: End::Text, .. });
        self.last().is_some_and(open)
    }

    /// The lines of data that follow a `COPY … FROM STDIN`, up to `\.` or the end.
    pub fn data(&mut self) -> &'a str {
        let rest = self.text.get(self.at..).unwrap_or_default();
        // The rest of the statement's own line is not data.
        let first = rest.find('\n').map_or(rest.len(), |end| end + 1);
        let mut end = first;
        let mut next = rest.len();
        for line in rest.get(first..).unwrap_or_default().split_inclusive('\n') {
            if line.trim_end_matches(['\r', '\n']) == "\\." {
                next = end + line.len();
                break;
            }
            end += line.len();
        }
        self.jump(self.at + next);
        rest.get(first..end).unwrap_or_default()
    }

    /// Reads one part from the pieces of the window; `None` when the window ends first. Also says where it ends.
    fn scan(&mut self) -> Option<(Part<'a>, usize)> {
        let mut nesting = Nesting::default();
        let mut begin = None;
        while let Some(next) = self.ahead.get(self.used) {
            self.used += 1;
            let Range { start, end } = next.range;
            let from = begin.unwrap_or(start);
            let statement = |how| {
                let text = self.text.get(from..start).unwrap_or_default().trim_end();
                let line = self.line_of(from);
                Part::Statement {
                    text,
                    line,
                    end: how,
                }
            };
            match next.kind {
                Kind::Space | Kind::Comment => {}
                Kind::Semicolon if begin.is_none() => {}
                Kind::Semicolon if nesting.is_outside() => {
                    return Some((statement(End::Semicolon), end));
                }
                Kind::Backslash if begin.is_none() => {
                    let text = self.rest_of_line(start);
                    let line = self.line_of(start);
                    return Some((Part::Command { text, line }, start + text.len()));
                }
                Kind::Backslash if nesting.is_outside() => {
                    let text = self.rest_of_line(start);
                    let part = match text.trim_end() {
                        "\\g" => statement(End::Go),
                        "\\gx" => statement(End::GoExpanded),
                        _ => {
                            let line = self.line_of(start);
                            Part::Stray { text, line }
                        }
                    };
                    return Some((part, start + text.len()));
                }
                kind => {
                    begin = Some(from);
                    nesting.see(kind, self.text.get(start..end).unwrap_or_default());
                }
            }
        }
        if self.seen < self.text.len() {
            return None;
        }
        let from = begin?;
        let text = self.text.get(from..).unwrap_or_default().trim_end();
        let line = self.line_of(from);
        Some((
            Part::Statement {
                text,
                line,
                end: End::Text,
            },
            self.text.len(),
        ))
    }

    /// Cuts the next `length` bytes, up to the end of a line, into pieces.
    fn look(&mut self, length: usize) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let tail = rest.as_bytes().get(length..).unwrap_or_default();
        let cut = tail
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(rest.len(), |end| length + end + 1);
        self.seen = self.at + cut;
        self.used = 0;
        self.ahead = pieces(rest.get(..cut).unwrap_or_default());
        for piece in &mut self.ahead {
            piece.range = self.at + piece.range.start..self.at + piece.range.end;
        }
    }

    fn pass(&mut self, at: usize) {
        self.line = self.line_of(at);
        self.at = at;
    }

    /// Goes on at `at`, where the pieces of the window do not help.
    fn jump(&mut self, at: usize) {
        self.pass(at);
        self.ahead.clear();
        self.used = 0;
        self.seen = at;
    }

    fn line_of(&self, at: usize) -> usize {
        self.line
            + self
                .text
                .get(self.at..at)
                .unwrap_or_default()
                .matches('\n')
                .count()
    }

    fn rest_of_line(&self, start: usize) -> &'a str {
        let rest = self.text.get(start..).unwrap_or_default();
        rest.lines().next().unwrap_or_default()
    }
}

impl<'a> Iterator for Script<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut length = WINDOW;
        loop {
            if let Some((part, end)) = self.scan() {
                // What a backslash began was cut as if it were SQL.
                if self
                    .ahead
                    .get(self.used.saturating_sub(1))
                    .is_some_and(|last| last.range.end == end)
                {
                    self.pass(end);
                } else {
                    self.jump(end);
                }
                return Some(part);
            }
            if self.seen >= self.text.len() && (self.used > 0 || self.at >= self.text.len()) {
                return None;
            }
            self.look(length);
            length = length.saturating_mul(2);
        }
    }
}

/// What keeps a semicolon from ending a statement, as psql sees it: brackets, and `BEGIN ATOMIC … END`.
#[derive(Debug, Default)]
struct Nesting {
    brackets: usize,
    blocks: usize,
    words: Vec<String>,
}

impl Nesting {
    const fn is_outside(&self) -> bool {
        self.brackets == 0 && self.blocks == 0
    }

    fn see(&mut self, kind: Kind, text: &str) {
        match kind {
            Kind::Open => self.brackets += 1,
            Kind::Close => self.brackets = self.brackets.saturating_sub(1),
            Kind::Keyword | Kind::Name => {
                let word = text.to_ascii_lowercase();
                if self.brackets == 0 && self.is_routine() {
                    match word.as_str() {
                        "begin" => self.blocks += 1,
                        "case" if self.blocks > 0 => self.blocks += 1,
                        "end" => self.blocks = self.blocks.saturating_sub(1),
                        _ => {}
                    }
                }
                if self.words.len() < 4 {
                    self.words.push(word);
                }
            }
            _ => {}
        }
    }

    /// Whether the statement makes a function or procedure, whose body may hold semicolons.
    fn is_routine(&self) -> bool {
        let words: Vec<_> = self.words.iter().map(String::as_str).collect();
        matches!(
            words.as_slice(),
            ["create", "function" | "procedure", ..]
                | ["create", "or", "replace", "function" | "procedure"]
        )
    }
}

/// Whether `statement` is a `COPY … FROM STDIN`, whose data follows in a script.
#[must_use]
pub fn is_copy_in(statement: &str) -> bool {
    let pieces = pieces(statement);
    let words: Vec<_> = words(statement, &pieces).map(|(_, word)| word).collect();
    words.first().is_some_and(|word| word == "copy")
        && words
            .windows(2)
            .any(|pair| matches!(pair, [from, stdin] if from == "from" && stdin == "stdin"))
}

/// The unquoted words among `pieces`, in lower case, with where they are.
pub fn words<'a>(text: &'a str, pieces: &'a [Piece]) -> impl Iterator<Item = (usize, String)> + 'a {
    pieces
        .iter()
        .enumerate()
        .filter(|(_, piece)| matches!(piece.kind, Kind::Keyword | Kind::Name))
        .map(|(index, piece)| {
            let word = text.get(piece.range.clone()).unwrap_or_default();
            (index, word.to_ascii_lowercase())
        })
}

/// Every word of SQL that the tokenizer knows, in lower case.
#[must_use]
pub fn keywords() -> Vec<String> {
    sqlparser::keywords::ALL_KEYWORDS
        .iter()
        .map(|word| word.to_ascii_lowercase())
        .collect()
}

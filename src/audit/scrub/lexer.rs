//! Takes SQL text apart as PostgreSQL does, forgiving what is broken: scrubbing must work on typing mistakes, too.

/// What a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// White space.
    Space,
    /// `-- …` or `/* … */`.
    Comment,
    /// A name or key word.
    Word,
    /// A name in double quotes.
    Quoted,
    /// `'…'`, also with a prefix other than `E`.
    Literal,
    /// `E'…'`: a backslash escapes.
    Escaped,
    /// `$tag$…$tag$`.
    Dollar,
    /// A number.
    Number,
    /// Any other character.
    Symbol,
}

/// A piece of text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
}

impl<'a> Token<'a> {
    /// The text up to and with the opening quote, what is between the quotes, and the closing one (empty if missing).
    pub(super) fn parts(&self) -> (&'a str, &'a str, &'a str) {
        let quote = match self.kind {
            Kind::Quoted => "\"",
            Kind::Dollar => {
                let end = self.text.get(1..).and_then(|rest| rest.find('$'));
                self.text
                    .get(..end.map_or(0, |end| end + 2))
                    .unwrap_or_default()
            }
            _ => "'",
        };
        let open = self.text.find(quote).map_or(0, |at| at + quote.len());
        let (open, rest) = self.text.split_at_checked(open).unwrap_or(("", self.text));
        match rest.strip_suffix(quote) {
            Some(inner) => (open, inner, quote),
            None => (open, rest, ""),
        }
    }
}

/// Takes text apart; the pieces put together are the text.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (kind, length) = measure(rest);
        // At least one character, so that this ends whatever the text is.
        let length = length.max(rest.chars().next().map_or(1, char::len_utf8));
        let (token, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        tokens.push(Token { kind, text: token });
        rest = after;
    }
    tokens
}

fn measure(text: &str) -> (Kind, usize) {
    let first = text.chars().next().unwrap_or(' ');
    if first.is_whitespace() {
        return (Kind::Space, run(text, char::is_whitespace));
    }
    if text.starts_with("--") {
        return (Kind::Comment, run(text, |letter| letter != '\n'));
    }
    if text.starts_with("/*") {
        return (Kind::Comment, block_comment(text));
    }
    match first {
        '\'' => (Kind::Literal, quoted(text, 0, '\'', false)),
        '"' => (Kind::Quoted, quoted(text, 0, '"', false)),
        '$' => dollar(text),
        '0'..='9' => (
            Kind::Number,
            run(text, |letter| {
                letter.is_ascii_alphanumeric() || letter == '.' || letter == '_'
            }),
        ),
        first if first.is_alphabetic() || first == '_' || !first.is_ascii() => word(text),
        _ => (Kind::Symbol, first.len_utf8()),
    }
}

/// The length of the longest beginning of which all characters are `accepted`.
fn run(text: &str, accepted: impl Fn(char) -> bool) -> usize {
    text.find(|letter| !accepted(letter)).unwrap_or(text.len())
}

fn word(text: &str) -> (Kind, usize) {
    let length = run(text, |letter| {
        letter.is_alphanumeric() || letter == '_' || letter == '$' || !letter.is_ascii()
    });
    let (word, rest) = text.split_at_checked(length).unwrap_or((text, ""));
    let is_prefix = |prefixes: &[&str]| {
        prefixes
            .iter()
            .any(|prefix| word.eq_ignore_ascii_case(prefix))
    };
    if rest.starts_with('\'') && is_prefix(&["e"]) {
        return (Kind::Escaped, quoted(text, length, '\'', true));
    }
    if rest.starts_with('\'') && is_prefix(&["b", "x", "n"]) {
        return (Kind::Literal, quoted(text, length, '\'', false));
    }
    if is_prefix(&["u"]) && rest.starts_with("&'") {
        return (Kind::Literal, quoted(text, length + 1, '\'', false));
    }
    if is_prefix(&["u"]) && rest.starts_with("&\"") {
        return (Kind::Quoted, quoted(text, length + 1, '"', false));
    }
    (Kind::Word, length)
}

/// The length of text in quotes that open at `start`; a doubled quote does not close it, nor an escaped one.
fn quoted(text: &str, start: usize, quote: char, escapes: bool) -> usize {
    let mut letters = text
        .char_indices()
        .skip_while(|(at, _)| *at <= start)
        .peekable();
    while let Some((at, letter)) = letters.next() {
        if letter == '\\' && escapes {
            letters.next();
        } else if letter == quote && letters.next_if(|(_, next)| *next == quote).is_none() {
            return at + 1;
        }
    }
    text.len()
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut letters = text.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        let next = letters.peek().map(|(_, next)| *next);
        match (letter, next) {
            ('/', Some('*')) => {
                depth += 1;
                letters.next();
            }
            ('*', Some('/')) => {
                depth = depth.saturating_sub(1);
                letters.next();
                if depth == 0 {
                    return at + 2;
                }
            }
            _ => {}
        }
    }
    text.len()
}

fn dollar(text: &str) -> (Kind, usize) {
    let inner = text.get(1..).unwrap_or_default();
    let length = run(inner, |letter| {
        letter.is_alphanumeric() || letter == '_' || !letter.is_ascii()
    });
    let starts_with_digit = inner.starts_with(|first: char| first.is_ascii_digit());
    let closes = inner
        .get(length..)
        .is_some_and(|rest| rest.starts_with('$'));
    if closes && !starts_with_digit {
        let open = length + 2;
        let tag = text.get(..open).unwrap_or_default();
        let end = text.get(open..).and_then(|rest| rest.find(tag));
        return (
            Kind::Dollar,
            end.map_or(text.len(), |end| open + end + open),
        );
    }
    (Kind::Symbol, 1 + if starts_with_digit { length } else { 0 })
}

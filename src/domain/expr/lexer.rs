//! Scanning: which characters make up the next token. The parser says which kind of token may come next, because
//! `[a-c]` is a list after `in` and a plain text after `=~`.

#[cfg(test)]
use std::cell::Cell;

use super::ast::{Comparison, Order};
use super::errors::{Expected, Found, ParseError};

/// An operator of a predicate, whichever alias it was written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Exists { negated: bool },
    In { negated: bool },
    Match { negated: bool },
    Compare(Comparison),
}

/// Operators in symbols, none a prefix of a later one: the longest is met first.
const SYMBOLS: [(&str, Operator); 10] = [
    ("!exists", Operator::Exists { negated: true }),
    ("!in", Operator::In { negated: true }),
    ("!~", Operator::Match { negated: true }),
    ("!=", Operator::Compare(Comparison::NotEqual)),
    ("==", Operator::Compare(Comparison::Equal)),
    ("=~", Operator::Match { negated: false }),
    (">=", Operator::Compare(Comparison::Order(Order::GreaterEqual))),
    ("<=", Operator::Compare(Comparison::Order(Order::LessEqual))),
    (">", Operator::Compare(Comparison::Order(Order::Greater))),
    ("<", Operator::Compare(Comparison::Order(Order::Less))),
];

/// Operators in words, lower case only. [CQL-6]
const WORDS: [(&str, Operator); 12] = [
    ("exists", Operator::Exists { negated: false }),
    ("not_exists", Operator::Exists { negated: true }),
    ("in", Operator::In { negated: false }),
    ("not_in", Operator::In { negated: true }),
    ("matches", Operator::Match { negated: false }),
    ("not_matches", Operator::Match { negated: true }),
    ("equals", Operator::Compare(Comparison::Equal)),
    ("not_equals", Operator::Compare(Comparison::NotEqual)),
    (
        "greater_than_equal",
        Operator::Compare(Comparison::Order(Order::GreaterEqual)),
    ),
    (
        "greater_than",
        Operator::Compare(Comparison::Order(Order::Greater)),
    ),
    (
        "less_than_equal",
        Operator::Compare(Comparison::Order(Order::LessEqual)),
    ),
    ("less_than", Operator::Compare(Comparison::Order(Order::Less))),
];

/// A value or pattern as written, without its quotation marks.
#[derive(Debug)]
pub(super) struct Text {
    /// Where it begins, quotation mark included.
    pub(super) start: usize,
    /// Where its first character stands.
    pub(super) content_start: usize,
    pub(super) content: String,
}

/// A position in the characters of an expression.
pub(super) struct Cursor<'a> {
    chars: &'a [char],
    at: usize,
    /// Characters looked at so far, repeated looks included: the parser's work.
    #[cfg(test)]
    pub(super) steps: Cell<usize>,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(chars: &'a [char]) -> Self {
        Self {
            chars,
            at: 0,
            #[cfg(test)]
            steps: Cell::new(0),
        }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The error that `expected` is missing at `start`, with the run of like characters that stands there.
    pub(super) fn error_at(&self, start: usize, expected: Expected) -> ParseError {
        let rest = self.chars.get(start..).unwrap_or_default();
        let found = match rest.first() {
            None => Found::End,
            Some(&first) => Found::excerpt(
                rest.iter()
                    .copied()
                    .take_while(|&c| !c.is_whitespace() && is_word_char(c) == is_word_char(first)),
            ),
        };
        ParseError::new(start, expected, found)
    }

    /// The error that `expected` is missing here.
    pub(super) fn error(&self, expected: Expected) -> ParseError {
        self.error_at(self.at, expected)
    }

    pub(super) fn skip_white(&mut self) {
        self.skip_while(char::is_whitespace);
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.peek(0).is_none()
    }

    /// Passes over the symbol if it comes next.
    pub(super) fn eat(&mut self, symbol: &str) -> bool {
        let found = symbol
            .chars()
            .enumerate()
            .all(|(ahead, c)| self.peek(ahead) == Some(c));
        if found {
            self.advance(symbol.chars().count());
        }
        found
    }

    /// Passes over the word if it comes next and is not the beginning of a longer word.
    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        let start = self.at;
        let found = self.eat(word) && !self.peek(0).is_some_and(is_word_char);
        if !found {
            self.at = start;
        }
        found
    }

    /// The longest run of characters of which names of subjects and attributes are made.
    pub(super) fn name(&mut self, is_part: fn(char) -> bool) -> String {
        let start = self.at;
        self.skip_while(is_part);
        self.since(start)
    }

    /// The operator that comes next, if one does.
    pub(super) fn operator(&mut self) -> Option<Operator> {
        if self.peek(0).is_some_and(is_word_char) {
            return WORDS
                .into_iter()
                .find(|&(word, _)| self.eat_word(word))
                .map(|(_, operator)| operator);
        }
        SYMBOLS
            .into_iter()
            .find(|&(symbol, _)| {
                if symbol.ends_with(is_word_char) {
                    self.eat_word(symbol)
                } else {
                    self.eat(symbol)
                }
            })
            .map(|(_, operator)| operator)
    }

    /// The value that comes next. [CQL-8]
    pub(super) fn value(&mut self) -> Result<Text, ParseError> {
        self.text(&[',', '[', ']'], &Expected::Value)
    }

    /// The pattern that comes next: brackets and commas are plain characters in it.
    pub(super) fn pattern(&mut self) -> Result<Text, ParseError> {
        self.text(&[], &Expected::Pattern)
    }

    fn text(&mut self, reserved: &[char], expected: &Expected) -> Result<Text, ParseError> {
        self.skip_white();
        let start = self.at;
        if let Some(quote @ ('\'' | '"')) = self.peek(0) {
            self.advance(1);
            let content_start = self.at;
            self.skip_while(|c| c != quote);
            let content = self.since(content_start);
            if !self.eat(quote.encode_utf8(&mut [0; 4])) {
                return Err(self.error(Expected::ClosingQuote(quote)));
            }
            return Ok(Text {
                start,
                content_start,
                content,
            });
        }
        while let Some(c) = self.peek(0)
            && is_bare_char(c)
            && !reserved.contains(&c)
            && !(matches!(c, '&' | '|') && self.peek(1) == Some(c))
        {
            self.advance(1);
        }
        if self.at == start {
            return Err(self.error(expected.clone()));
        }
        Ok(Text {
            start,
            content_start: start,
            content: self.since(start),
        })
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        #[cfg(test)]
        self.steps.set(self.steps.get().saturating_add(1));
        self.chars.get(self.at.saturating_add(ahead)).copied()
    }

    fn advance(&mut self, by: usize) {
        self.at = self.at.saturating_add(by);
    }

    fn skip_while(&mut self, accepts: impl Fn(char) -> bool) {
        while self.peek(0).is_some_and(&accepts) {
            self.advance(1);
        }
    }

    fn since(&self, start: usize) -> String {
        self.chars
            .get(start..self.at)
            .unwrap_or_default()
            .iter()
            .collect()
    }
}

/// Whether the character continues a word operator.
fn is_word_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether the character may be part of an attribute's name. [ATTR-2]
pub(super) fn is_attribute_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | '\\')
}

/// Whether the character may be part of a text without quotation marks.
fn is_bare_char(c: char) -> bool {
    !c.is_whitespace() && !matches!(c, '(' | ')' | '\'' | '"')
}

/// Whether the value can be written without quotation marks.
pub(super) fn is_bare_value(text: &str) -> bool {
    is_bare_pattern(text) && !text.contains([',', '[', ']'])
}

/// Whether the pattern can be written without quotation marks.
pub(super) fn is_bare_pattern(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_bare_char) && !text.contains("&&") && !text.contains("||")
}

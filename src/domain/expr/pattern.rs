//! Patterns: the part of Java's regular expressions that a linear-time engine has. [CQL-10 to CQL-12]
//!
//! A pattern is read once from left to right and rewritten into the `regex` crate's dialect. What means the same in
//! both passes; what the engine lacks, and what would compile but mean something else, is refused by name.
//!
//! One difference remains: `(?i)` folds case by Unicode here and by ASCII in Java. It shows only with values that
//! ATTR-3 does not allow.

use regex::{Regex, RegexBuilder};

use super::PATTERN_SIZE_BYTES_MAX;
use super::errors::PatternProblem;

/// Most characters of an engine's message that an error repeats.
const MESSAGE_LENGTH_MAX: usize = 100;

/// A pattern that matches whole values. Equal if written the same.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    source: String,
    regex: Regex,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Pattern {}

/// Why a text is not a pattern, and at which of its characters.
#[derive(Debug)]
pub(super) struct PatternError {
    pub(super) offset: usize,
    pub(super) problem: PatternProblem,
}

impl Pattern {
    pub(super) fn parse(source: &str) -> Result<Self, PatternError> {
        let chars: Vec<char> = source.chars().collect();
        let translated = Translator {
            chars: &chars,
            at: 0,
            out: String::new(),
            groups_open: 0,
        }
        .run()?;
        let regex = RegexBuilder::new(&format!("^(?:{translated})$"))
            .size_limit(PATTERN_SIZE_BYTES_MAX)
            .dfa_size_limit(PATTERN_SIZE_BYTES_MAX)
            .build()
            .map_err(|error| PatternError {
                offset: 0,
                problem: problem_of(&error),
            })?;
        Ok(Self {
            source: source.to_owned(),
            regex,
        })
    }

    /// Whether the whole text matches. [CQL-11]
    pub(super) fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// The pattern as written.
    pub(super) fn source(&self) -> &str {
        &self.source
    }
}

fn problem_of(error: &regex::Error) -> PatternProblem {
    match error {
        regex::Error::CompiledTooBig(_) => PatternProblem::TooLarge,
        other => {
            // The message draws the pattern with a caret under it; its last line says what is wrong.
            let message = other.to_string();
            let last = message.lines().last().unwrap_or_default();
            let reason = last.strip_prefix("error: ").unwrap_or(last);
            PatternProblem::Syntax(reason.chars().take(MESSAGE_LENGTH_MAX).collect())
        }
    }
}

struct Translator<'a> {
    chars: &'a [char],
    at: usize,
    out: String,
    groups_open: usize,
}

impl Translator<'_> {
    fn run(mut self) -> Result<String, PatternError> {
        loop {
            let start = self.at;
            let Some(c) = self.next() else {
                return Ok(self.out);
            };
            let read = match c {
                '\\' => self.escape(),
                '[' => self.class(),
                '(' => self.group(),
                ')' => self.group_end(),
                '*' | '+' | '?' => {
                    self.out.push(c);
                    self.after_quantifier()
                }
                '{' => self.count().and_then(|()| self.after_quantifier()),
                plain => {
                    self.out.push(plain);
                    Ok(())
                }
            };
            read.map_err(|problem| PatternError {
                offset: start,
                problem,
            })?;
        }
    }

    /// After `(`: a plain, named or non-capturing group, or options.
    fn group(&mut self) -> Result<(), PatternProblem> {
        self.out.push('(');
        self.groups_open = self.groups_open.saturating_add(1);
        if !self.copy('?') {
            return Ok(());
        }
        match (self.peek(), self.peek_second()) {
            (Some('=' | '!'), _) => Err(PatternProblem::LookAhead),
            (Some('<'), Some('=' | '!')) => Err(PatternProblem::LookBehind),
            (Some('>'), _) => Err(PatternProblem::AtomicGroup),
            (Some('<'), _) => self.group_name(),
            _ => {
                while let Some(option @ ('i' | 'm' | 's' | '-')) = self.peek() {
                    self.copy(option);
                }
                match self.peek() {
                    Some(':' | ')') => Ok(()),
                    _ => Err(PatternProblem::GroupOption),
                }
            }
        }
    }

    /// After `(?` of a named group: the name as Java has it. The engine's names may hold brackets, which would hide
    /// from this reader what follows.
    fn group_name(&mut self) -> Result<(), PatternProblem> {
        self.copy('<');
        while let Some(part) = self.peek().filter(char::is_ascii_alphanumeric) {
            self.copy(part);
        }
        if self.copy('>') {
            Ok(())
        } else {
            Err(PatternProblem::GroupName)
        }
    }

    /// A `)` too many would escape from the anchors around the pattern.
    fn group_end(&mut self) -> Result<(), PatternProblem> {
        self.groups_open = self
            .groups_open
            .checked_sub(1)
            .ok_or(PatternProblem::UnmatchedParenthesis)?;
        self.out.push(')');
        Ok(())
    }

    /// After `{`: the rest of `{n}`, `{n,}` or `{n,m}`.
    fn count(&mut self) -> Result<(), PatternProblem> {
        self.out.push('{');
        if !self.copy_digits() {
            return Err(PatternProblem::Count);
        }
        if self.copy(',') {
            self.copy_digits();
        }
        if self.copy('}') {
            Ok(())
        } else {
            Err(PatternProblem::Count)
        }
    }

    /// After a quantifier: it may be lazy. What Java calls possessive the engine would read as a quantifier of a
    /// quantifier.
    fn after_quantifier(&mut self) -> Result<(), PatternProblem> {
        if !self.copy('?') && self.peek() == Some('+') {
            return Err(PatternProblem::PossessiveQuantifier);
        }
        match self.peek() {
            Some('*' | '+' | '?' | '{') => Err(PatternProblem::StackedQuantifier),
            _ => Ok(()),
        }
    }

    /// After `\` outside a class.
    fn escape(&mut self) -> Result<(), PatternProblem> {
        match self.peek() {
            Some(boundary @ ('b' | 'B')) => {
                self.at = self.at.saturating_add(1);
                self.out
                    .push_str(if boundary == 'b' { r"(?-u:\b)" } else { r"(?-u:\B)" });
                Ok(())
            }
            Some(anchor @ ('A' | 'z')) => {
                self.out.push('\\');
                self.copy(anchor);
                Ok(())
            }
            Some('k' | '1'..='9') => Err(PatternProblem::BackReference),
            _ => self.escape_of_character(),
        }
    }

    /// After `\` anywhere: a class of ASCII characters as in Java, a control character, or a symbol meant literally.
    fn escape_of_character(&mut self) -> Result<(), PatternProblem> {
        let rewritten = match self.next() {
            Some('d') => "[0-9]",
            Some('D') => "[^0-9]",
            Some('w') => "[0-9A-Za-z_]",
            Some('W') => "[^0-9A-Za-z_]",
            Some('s') => r"[ \t\n\x0B\f\r]",
            Some('S') => r"[^ \t\n\x0B\f\r]",
            Some('t') => r"\t",
            Some('n') => r"\n",
            Some('r') => r"\r",
            Some('f') => r"\f",
            Some(symbol) if !symbol.is_ascii_alphanumeric() => {
                self.out.push_str(&regex::escape(symbol.encode_utf8(&mut [0; 4])));
                return Ok(());
            }
            Some(_) | None => return Err(PatternProblem::Escape),
        };
        self.out.push_str(rewritten);
        Ok(())
    }

    /// After `[`: up to the matching `]`. If there is none the engine says so.
    fn class(&mut self) -> Result<(), PatternProblem> {
        let mut depth = 1_usize;
        // Whether the character before is a `-` with something to its left.
        let mut after_dash = false;
        self.class_start();
        while let Some(c) = self.next() {
            let is_dash = c == '-';
            match c {
                '[' if self.peek() == Some(':') => return Err(PatternProblem::ClassName),
                '[' if after_dash => return Err(PatternProblem::ClassInRange),
                '-' | '~' if self.peek() == Some(c) => return Err(PatternProblem::ClassOperator),
                '[' => {
                    depth = depth.saturating_add(1);
                    self.class_start();
                }
                ']' => {
                    self.out.push(']');
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return Ok(());
                    }
                }
                '\\' => {
                    if after_dash && matches!(self.peek(), Some('d' | 'D' | 'w' | 'W' | 's' | 'S')) {
                        return Err(PatternProblem::ClassInRange);
                    }
                    self.escape_of_character()?;
                }
                plain => self.out.push(plain),
            }
            after_dash = is_dash;
        }
        Ok(())
    }

    /// The beginning of a class, where `^` negates and `-` or `]` stands for itself.
    fn class_start(&mut self) {
        self.out.push('[');
        self.copy('^');
        match (self.peek(), self.peek_second()) {
            (Some('-'), Some('-')) => {}
            (Some(literal @ ('-' | ']')), _) => {
                self.out.push('\\');
                self.copy(literal);
            }
            _ => {}
        }
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at = self.at.saturating_add(1);
        Some(c)
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn peek_second(&self) -> Option<char> {
        self.chars.get(self.at.saturating_add(1)).copied()
    }

    /// Copies the character if it comes next.
    fn copy(&mut self, c: char) -> bool {
        let found = self.peek() == Some(c);
        if found {
            self.at = self.at.saturating_add(1);
            self.out.push(c);
        }
        found
    }

    /// Copies digits; false if there are none.
    fn copy_digits(&mut self) -> bool {
        let start = self.at;
        while let Some(digit @ '0'..='9') = self.peek() {
            self.copy(digit);
        }
        self.at > start
    }
}

//! Words of an expression.

use super::ast::{At, Literal};

/// What a rule's text is made of.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Ident(String),
    Literal(Literal),
    /// A number too large for a positive one, that a minus sign makes the smallest.
    IntMinMagnitude,
    Symbol(&'static str),
}

/// Longer symbols stand before those that they begin with.
const SYMBOLS: [&str; 26] = [
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "+", "-", "*", "/", "%", "!", "?", ":", "(", ")", "[", "]",
    "{", "}", ".", ",", "=", "`",
];

const INVALID: &str = "Syntax error: invalid escape sequence";

/// Where the text cannot be read, and why.
pub(super) type LexError = (At, String);

/// Splits a text into words, each with its place.
pub(super) fn tokens(text: &str) -> Result<Vec<(Token, At)>, LexError> {
    let chars: Vec<char> = text.chars().collect();
    let mut lexer = Lexer { chars: &chars, at: 0 };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_space();
        let start = lexer.at;
        let Some(c) = lexer.peek(0) else {
            return Ok(tokens);
        };
        let token = lexer.token(c).map_err(|why| (start, why))?;
        tokens.push((token, start));
    }
}

struct Lexer<'t> {
    chars: &'t [char],
    at: usize,
}

impl Lexer<'_> {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at.saturating_add(ahead)).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek(0)?;
        self.skip(1);
        Some(c)
    }

    fn skip(&mut self, count: usize) {
        self.at = self.at.saturating_add(count);
    }

    fn starts_with(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(i, c)| self.peek(i) == Some(c))
    }

    fn skip_space(&mut self) {
        loop {
            match self.peek(0) {
                Some(' ' | '\t' | '\n' | '\r' | '\u{c}') => self.skip(1),
                Some('/') if self.peek(1) == Some('/') => while self.next().is_some_and(|c| c != '\n') {},
                _ => return,
            }
        }
    }

    fn token(&mut self, c: char) -> Result<Token, String> {
        let digit_next = self.peek(1).is_some_and(|c| c.is_ascii_digit());
        if c.is_ascii_digit() || (c == '.' && digit_next) {
            return self.number();
        }
        if let Some(string) = self.string()? {
            return Ok(string);
        }
        if c.is_ascii_alphabetic() || c == '_' {
            return Ok(self.word());
        }
        let symbol = SYMBOLS.iter().find(|symbol| self.starts_with(symbol));
        let symbol = symbol.ok_or_else(|| format!("Syntax error: token recognition error at: '{c}'"))?;
        self.skip(symbol.len());
        Ok(Token::Symbol(symbol))
    }

    fn word(&mut self) -> Token {
        let word = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
        match word.as_str() {
            "true" => Token::Literal(Literal::Bool(true)),
            "false" => Token::Literal(Literal::Bool(false)),
            "null" => Token::Literal(Literal::Null),
            "in" => Token::Symbol("in"),
            _ => Token::Ident(word),
        }
    }

    fn take_while(&mut self, keep: impl Fn(char) -> bool) -> String {
        let mut out = String::new();
        while let Some(c) = self.peek(0).filter(|c| keep(*c)) {
            out.push(c);
            self.skip(1);
        }
        out
    }

    fn number(&mut self) -> Result<Token, String> {
        if self.starts_with("0x") || self.starts_with("0X") {
            self.skip(2);
            let digits = self.take_while(|c| c.is_ascii_hexdigit());
            let value = u64::from_str_radix(&digits, 16).map_err(|_| "invalid int literal".to_owned())?;
            return self.integer(value);
        }
        let mut text = self.take_while(|c| c.is_ascii_digit());
        let mut is_float = false;
        if self.peek(0) == Some('.') && self.peek(1).is_some_and(|c| c.is_ascii_digit()) {
            is_float = true;
            self.skip(1);
            text.push('.');
            text.push_str(&self.take_while(|c| c.is_ascii_digit()));
        }
        if matches!(self.peek(0), Some('e' | 'E')) {
            let sign = usize::from(matches!(self.peek(1), Some('+' | '-')));
            if self
                .peek(sign.saturating_add(1))
                .is_some_and(|c| c.is_ascii_digit())
            {
                is_float = true;
                text.extend(self.chars.iter().skip(self.at).take(sign.saturating_add(1)));
                self.skip(sign.saturating_add(1));
                text.push_str(&self.take_while(|c| c.is_ascii_digit()));
            }
        }
        if is_float {
            let value = text.parse().map_err(|_| "invalid double literal".to_owned())?;
            return Ok(Token::Literal(Literal::Double(value)));
        }
        self.integer(text.parse().map_err(|_| "invalid int literal".to_owned())?)
    }

    fn integer(&mut self, value: u64) -> Result<Token, String> {
        if matches!(self.peek(0), Some('u' | 'U')) {
            self.skip(1);
            return Ok(Token::Literal(Literal::Uint(value)));
        }
        match i64::try_from(value) {
            Ok(value) => Ok(Token::Literal(Literal::Int(value))),
            Err(_) if value == i64::MIN.unsigned_abs() => Ok(Token::IntMinMagnitude),
            Err(_) => Err("invalid int literal".to_owned()),
        }
    }

    /// A string or bytes, when one begins here.
    fn string(&mut self) -> Result<Option<Token>, String> {
        let mut prefix = 0usize;
        let (mut raw, mut bytes) = (false, false);
        while let Some(c) = self.peek(prefix) {
            match c {
                'r' | 'R' if !raw => raw = true,
                'b' | 'B' if !bytes => bytes = true,
                _ => break,
            }
            prefix = prefix.saturating_add(1);
        }
        let Some(quote) = self.peek(prefix).filter(|c| *c == '"' || *c == '\'') else {
            return Ok(None);
        };
        self.skip(prefix);
        let triple = self.peek(1) == Some(quote) && self.peek(2) == Some(quote);
        let end = String::from(quote).repeat(if triple { 3 } else { 1 });
        self.skip(end.len());
        let mut out = Vec::new();
        while !self.starts_with(&end) {
            match self.next() {
                None => return Err("Syntax error: unterminated string".to_owned()),
                Some('\n' | '\r') if !triple => return Err("Syntax error: line break in string".to_owned()),
                Some('\\') if !raw => self.escape(&mut out, bytes)?,
                Some(c) => push_char(&mut out, c),
            }
        }
        self.skip(end.len());
        if bytes {
            return Ok(Some(Token::Literal(Literal::Bytes(out))));
        }
        let text = String::from_utf8(out).map_err(|_| "Syntax error: invalid string".to_owned())?;
        Ok(Some(Token::Literal(Literal::Text(text))))
    }

    /// After a backslash.
    fn escape(&mut self, out: &mut Vec<u8>, bytes: bool) -> Result<(), String> {
        let c = self.next().ok_or(INVALID)?;
        let (digits, radix) = match c {
            'a' => return plain(out, Some('\u{7}')),
            'b' => return plain(out, Some('\u{8}')),
            'f' => return plain(out, Some('\u{c}')),
            'n' => return plain(out, Some('\n')),
            'r' => return plain(out, Some('\r')),
            't' => return plain(out, Some('\t')),
            'v' => return plain(out, Some('\u{b}')),
            '\\' | '?' | '"' | '\'' | '`' => return plain(out, Some(c)),
            'x' | 'X' => (2, 16),
            'u' if !bytes => (4, 16),
            'U' if !bytes => (8, 16),
            '0'..='3' => {
                self.at = self.at.saturating_sub(1);
                (3, 8)
            }
            _ => return Err(INVALID.to_owned()),
        };
        let text: String = self.chars.iter().skip(self.at).take(digits).collect();
        let good = text.chars().count() == digits && text.chars().all(|c| c.is_digit(radix));
        let code = u32::from_str_radix(&text, radix)
            .ok()
            .filter(|_| good)
            .ok_or(INVALID)?;
        self.skip(digits);
        if bytes {
            out.push(u8::try_from(code).map_err(|_| INVALID)?);
            return Ok(());
        }
        plain(out, char::from_u32(code))
    }
}

/// The character that an escape stands for, if it stands for one.
fn plain(out: &mut Vec<u8>, c: Option<char>) -> Result<(), String> {
    push_char(out, c.ok_or(INVALID)?);
    Ok(())
}

fn push_char(out: &mut Vec<u8>, c: char) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

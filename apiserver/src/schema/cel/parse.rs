//! From words to an expression.

use super::ast::{At, Entry, Expr, Item, Literal, Operator};
use super::lex::{self, Token};

/// How deep an expression may be nested.
const DEPTH_MAX: usize = 100;

/// What cannot be read, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ParseError {
    pub at: At,
    pub why: String,
}

/// Parses a rule.
pub(super) fn parse(text: &str) -> Result<Expr, ParseError> {
    let tokens = lex::tokens(text).map_err(|(at, why)| ParseError { at, why })?;
    let mut parser = Parser {
        tokens: &tokens,
        next: 0,
        depth: 0,
        end: text.chars().count(),
    };
    let expr = parser.expression()?;
    if parser.next < tokens.len() {
        return Err(parser.unexpected());
    }
    Ok(expr)
}

struct Parser<'t> {
    tokens: &'t [(Token, At)],
    next: usize,
    depth: usize,
    end: At,
}

type Parsed = Result<Expr, ParseError>;

/// Operators by precedence, the loosest first; all bind to the left.
const LEVELS: [&[(&str, Operator)]; 3] = [
    &[
        ("==", Operator::Equal),
        ("!=", Operator::NotEqual),
        ("<", Operator::Less),
        ("<=", Operator::LessEqual),
        (">", Operator::Greater),
        (">=", Operator::GreaterEqual),
        ("in", Operator::In),
    ],
    &[("+", Operator::Add), ("-", Operator::Subtract)],
    &[
        ("*", Operator::Multiply),
        ("/", Operator::Divide),
        ("%", Operator::Modulo),
    ],
];

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|(token, _)| token)
    }

    fn at(&self) -> At {
        self.tokens.get(self.next).map_or(self.end, |(_, at)| *at)
    }

    fn skip(&mut self) {
        self.next = self.next.saturating_add(1);
    }

    fn take(&mut self, symbol: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Symbol(given)) if *given == symbol);
        if found {
            self.skip();
        }
        found
    }

    fn expect(&mut self, symbol: &str) -> Result<(), ParseError> {
        if self.take(symbol) {
            Ok(())
        } else {
            Err(self.unexpected())
        }
    }

    fn unexpected(&self) -> ParseError {
        let given = match self.peek() {
            None => "<EOF>".to_owned(),
            Some(Token::Ident(name)) => name.clone(),
            Some(Token::Symbol(symbol)) => (*symbol).to_owned(),
            Some(_) => "literal".to_owned(),
        };
        self.error(format!("Syntax error: mismatched input '{given}'"))
    }

    fn error(&self, why: String) -> ParseError {
        ParseError { at: self.at(), why }
    }

    fn expression(&mut self) -> Parsed {
        if self.depth >= DEPTH_MAX {
            return Err(self.error(format!("expression recursion limit exceeded: {DEPTH_MAX}")));
        }
        self.depth = self.depth.saturating_add(1);
        let expr = self.conditional();
        self.depth = self.depth.saturating_sub(1);
        expr
    }

    fn conditional(&mut self) -> Parsed {
        let cond = self.either()?;
        if !self.take("?") {
            return Ok(cond);
        }
        let yes = self.either()?;
        self.expect(":")?;
        let no = self.expression()?;
        Ok(Expr::Cond(Box::new(cond), Box::new(yes), Box::new(no)))
    }

    fn either(&mut self) -> Parsed {
        let mut terms = vec![self.both()?];
        while self.take("||") {
            terms.push(self.both()?);
        }
        Ok(balanced(terms, Expr::Or))
    }

    fn both(&mut self) -> Parsed {
        let mut terms = vec![self.binary(0)?];
        while self.take("&&") {
            terms.push(self.binary(0)?);
        }
        Ok(balanced(terms, Expr::And))
    }

    fn binary(&mut self, level: usize) -> Parsed {
        let Some(operators) = LEVELS.get(level) else {
            return self.unary();
        };
        let below = level.saturating_add(1);
        let mut left = self.binary(below)?;
        let mut length = 0usize;
        while let Some((_, operator)) = operators.iter().find(|(symbol, _)| self.take(symbol)) {
            length = length.saturating_add(1);
            if length > DEPTH_MAX {
                return Err(self.error(format!("expression recursion limit exceeded: {DEPTH_MAX}")));
            }
            let right = self.binary(below)?;
            left = Expr::Binary(*operator, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Parsed {
        for symbol in ["!", "-"] {
            let mut count = 0usize;
            while self.take(symbol) {
                count = count.saturating_add(1);
            }
            if count == 0 {
                continue;
            }
            if symbol == "-" && self.peek() == Some(&Token::IntMinMagnitude) {
                self.skip();
                return self.member(Expr::Literal(Literal::Int(i64::MIN)));
            }
            let operand = self.primary_and_member()?;
            return Ok(match (count.is_multiple_of(2), symbol, operand) {
                (true, _, operand) => operand,
                (false, "!", operand) => Expr::Not(Box::new(operand)),
                (false, _, Expr::Literal(Literal::Int(n))) => Expr::Literal(Literal::Int(n.saturating_neg())),
                (false, _, Expr::Literal(Literal::Double(n))) => Expr::Literal(Literal::Double(-n)),
                (false, _, operand) => Expr::Negate(Box::new(operand)),
            });
        }
        self.primary_and_member()
    }

    fn primary_and_member(&mut self) -> Parsed {
        let primary = self.primary()?;
        self.member(primary)
    }

    /// Fields, methods and indices behind an expression.
    fn member(&mut self, mut expr: Expr) -> Parsed {
        let mut length = 0usize;
        loop {
            length = length.saturating_add(1);
            if length > DEPTH_MAX {
                return Err(self.error(format!("expression recursion limit exceeded: {DEPTH_MAX}")));
            }
            let at = self.at();
            if self.take(".") {
                let optional = self.take("?");
                let field = self.field_name()?;
                let open = self.at();
                expr = if !optional && self.take("(") {
                    let args = self.list_until(")")?;
                    super::macros::method(expr, field, args, open).map_err(|why| ParseError { at, why })?
                } else {
                    Expr::Select {
                        of: Box::new(expr),
                        field,
                        optional,
                        at,
                    }
                };
            } else if self.take("[") {
                let optional = self.take("?");
                let key = Box::new(self.expression()?);
                self.expect("]")?;
                expr = Expr::Index {
                    of: Box::new(expr),
                    key,
                    optional,
                };
            } else {
                return Ok(expr);
            }
        }
    }

    fn field_name(&mut self) -> Result<String, ParseError> {
        match self.peek() {
            Some(Token::Ident(name)) => {
                let name = name.clone();
                self.skip();
                Ok(name)
            }
            _ => Err(self.unexpected()),
        }
    }

    fn primary(&mut self) -> Parsed {
        let at = self.at();
        match self.peek().cloned() {
            Some(Token::Literal(literal)) => {
                self.skip();
                Ok(Expr::Literal(literal))
            }
            Some(Token::Ident(name)) => {
                self.skip();
                let open = self.at();
                if !self.take("(") {
                    return Ok(Expr::Ident(name, at));
                }
                let args = self.list_until(")")?;
                super::macros::function(name, args, open).map_err(|why| ParseError { at, why })
            }
            Some(Token::Symbol("(")) => {
                self.skip();
                let inner = self.expression()?;
                self.expect(")")?;
                Ok(inner)
            }
            Some(Token::Symbol("[")) => {
                self.skip();
                self.list()
            }
            Some(Token::Symbol("{")) => {
                self.skip();
                self.map()
            }
            _ => Err(self.unexpected()),
        }
    }

    fn list_until(&mut self, end: &str) -> Result<Vec<Expr>, ParseError> {
        let mut items = Vec::new();
        while !self.take(end) {
            items.push(self.expression()?);
            if !self.take(",") {
                self.expect(end)?;
                break;
            }
        }
        Ok(items)
    }

    fn list(&mut self) -> Parsed {
        let mut items = Vec::new();
        while !self.take("]") {
            let optional = self.take("?");
            let value = self.expression()?;
            items.push(Item { value, optional });
            if !self.take(",") {
                self.expect("]")?;
                break;
            }
        }
        Ok(Expr::List(items))
    }

    fn map(&mut self) -> Parsed {
        let mut entries = Vec::new();
        while !self.take("}") {
            let optional = self.take("?");
            let key = self.expression()?;
            self.expect(":")?;
            let value = self.expression()?;
            entries.push(Entry { key, value, optional });
            if !self.take(",") {
                self.expect("}")?;
                break;
            }
        }
        Ok(Expr::Map(entries))
    }
}

/// Chains of `&&` and `||` as a tree of little depth.
fn balanced(mut terms: Vec<Expr>, join: fn(Box<Expr>, Box<Expr>) -> Expr) -> Expr {
    if terms.len() > 2 {
        let right = balanced(terms.split_off(terms.len().div_ceil(2)), join);
        let left = balanced(terms, join);
        return join(Box::new(left), Box::new(right));
    }
    let right = terms.pop();
    match (terms.pop(), right) {
        (Some(left), Some(right)) => join(Box::new(left), Box::new(right)),
        (_, Some(only)) => only,
        // No caller passes none.
        (_, None) => Expr::Literal(Literal::Null),
    }
}

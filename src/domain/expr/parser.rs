//! The grammar: recursive descent with one token of look-ahead. Each function reads one rule of the grammar.

use super::ast::{Accepts, AttributeTest, Comparison, GroupTest, Node, Predicate, TextTest, ValueTest};
use super::errors::{Expected, Found, ParseError, SubjectKind};
use super::lexer::{Cursor, Operator, Text, is_attribute_char};
use super::operand::{Instant, Operand, Version};
use super::pattern::Pattern;
use super::{ATTRIBUTE_NAME_LENGTH_MAX, EXPRESSION_DEPTH_MAX, EXPRESSION_LENGTH_MAX};

/// Reads a whole expression.
pub(super) fn parse(text: &str) -> Result<Node, ParseError> {
    let chars = limited(text)?;
    Parser {
        cursor: Cursor::new(&chars),
        depth: 0,
    }
    .whole()
}

/// As [`parse`], and how many characters were looked at, repeated looks included.
#[cfg(test)]
pub(super) fn parse_counting_steps(text: &str) -> (Result<Node, ParseError>, usize) {
    let chars = match limited(text) {
        Ok(chars) => chars,
        Err(error) => return (Err(error), 0),
    };
    let mut parser = Parser {
        cursor: Cursor::new(&chars),
        depth: 0,
    };
    let result = parser.whole();
    (result, parser.cursor.steps.get())
}

fn limited(text: &str) -> Result<Vec<char>, ParseError> {
    let mut rest = text.chars();
    let chars: Vec<char> = rest.by_ref().take(EXPRESSION_LENGTH_MAX).collect();
    if rest.as_str().is_empty() {
        Ok(chars)
    } else {
        Err(ParseError::new(
            EXPRESSION_LENGTH_MAX,
            Expected::Length,
            Found::excerpt(rest),
        ))
    }
}

struct Parser<'a> {
    cursor: Cursor<'a>,
    /// How many `not` and `(` surround the cursor.
    depth: usize,
}

impl Parser<'_> {
    fn whole(&mut self) -> Result<Node, ParseError> {
        let root = self.any()?;
        self.cursor.skip_white();
        if self.cursor.is_at_end() {
            Ok(root)
        } else {
            Err(self.cursor.error(Expected::ConnectiveOrEnd))
        }
    }

    /// `or` binds weakest. [CQL-5]
    fn any(&mut self) -> Result<Node, ParseError> {
        let mut members = vec![self.all()?];
        while self.connective("||", "or") {
            members.push(self.all()?);
        }
        Ok(Node::any(members))
    }

    fn all(&mut self) -> Result<Node, ParseError> {
        let mut members = vec![self.term()?];
        while self.connective("&&", "and") {
            members.push(self.term()?);
        }
        Ok(Node::all(members))
    }

    fn connective(&mut self, symbol: &str, word: &str) -> bool {
        self.cursor.skip_white();
        self.cursor.eat(symbol) || self.cursor.eat_word(word)
    }

    /// A negation, a group or a predicate; parentheses around a single predicate are accepted. [CQL-4]
    fn term(&mut self) -> Result<Node, ParseError> {
        self.cursor.skip_white();
        let start = self.cursor.at();
        if self.cursor.eat("!") || self.cursor.eat_word("not") {
            self.nested(start, |parser| Ok(Node::Not(Box::new(parser.term()?))))
        } else if self.cursor.eat("(") {
            self.nested(start, |parser| {
                let inner = parser.any()?;
                parser.cursor.skip_white();
                if parser.cursor.eat(")") {
                    Ok(inner)
                } else {
                    Err(parser.cursor.error(Expected::ConnectiveOrParenthesis))
                }
            })
        } else {
            self.predicate().map(Node::Test)
        }
    }

    fn nested(
        &mut self,
        start: usize,
        read: impl FnOnce(&mut Self) -> Result<Node, ParseError>,
    ) -> Result<Node, ParseError> {
        let outer = self.depth;
        if outer >= EXPRESSION_DEPTH_MAX {
            return Err(self.cursor.error_at(start, Expected::Depth));
        }
        self.depth = outer.saturating_add(1);
        let node = read(self)?;
        self.depth = outer;
        Ok(node)
    }

    fn predicate(&mut self) -> Result<Predicate, ParseError> {
        if self.cursor.eat(SubjectKind::Attribute.word()) {
            let name = self.attribute_name()?;
            let test = self.attribute_test()?;
            return Ok(Predicate::Attribute { name, test });
        }
        let kind = self.subject_word()?;
        match kind {
            SubjectKind::AgentConnected => self.text_test(kind).map(Predicate::AgentConnected),
            SubjectKind::AgentVersion => self.value_test::<Version>(kind).map(Predicate::AgentVersion),
            SubjectKind::Ec2InstanceId => self.text_test(kind).map(Predicate::Ec2InstanceId),
            SubjectKind::RegisteredAt => self.value_test::<Instant>(kind).map(Predicate::RegisteredAt),
            SubjectKind::RunningTasksCount => self.value_test::<i64>(kind).map(Predicate::RunningTasksCount),
            SubjectKind::TaskGroup => self.group_test().map(Predicate::TaskGroup),
            SubjectKind::Attribute => Err(self.cursor.error(Expected::AttributeName)),
        }
    }

    fn subject_word(&mut self) -> Result<SubjectKind, ParseError> {
        let start = self.cursor.at();
        let word = self.cursor.name(|c| is_attribute_char(c) || c == ':');
        SubjectKind::WORDS
            .into_iter()
            .find(|kind| kind.word() == word)
            .ok_or_else(|| self.cursor.error_at(start, Expected::Term))
    }

    /// The name stands directly after `attribute:`. [ATTR-2]
    fn attribute_name(&mut self) -> Result<String, ParseError> {
        let start = self.cursor.at();
        let name = self.cursor.name(is_attribute_char);
        if name.is_empty() || name.len() > ATTRIBUTE_NAME_LENGTH_MAX {
            return Err(self.cursor.error_at(start, Expected::AttributeName));
        }
        Ok(name)
    }

    fn attribute_test(&mut self) -> Result<AttributeTest, ParseError> {
        let (start, operator) = self.operator(SubjectKind::Attribute)?;
        match operator {
            Operator::Exists { negated } => Ok(AttributeTest::Exists { negated }),
            Operator::Compare(Comparison::Order(order)) => {
                Ok(AttributeTest::Order(order, self.cursor.value()?.content))
            }
            other => self
                .text_test_of(SubjectKind::Attribute, start, other)
                .map(AttributeTest::Text),
        }
    }

    fn group_test(&mut self) -> Result<GroupTest, ParseError> {
        let (start, operator) = self.operator(SubjectKind::TaskGroup)?;
        match operator {
            Operator::Exists { negated } => Ok(GroupTest::Exists { negated }),
            other => self
                .text_test_of(SubjectKind::TaskGroup, start, other)
                .map(GroupTest::Text),
        }
    }

    fn text_test(&mut self, kind: SubjectKind) -> Result<TextTest, ParseError> {
        let (start, operator) = self.operator(kind)?;
        self.text_test_of(kind, start, operator)
    }

    fn text_test_of(
        &mut self,
        kind: SubjectKind,
        start: usize,
        operator: Operator,
    ) -> Result<TextTest, ParseError> {
        let (negated, accepts) = match operator {
            Operator::Compare(Comparison::Equal) => (false, Accepts::Equal(self.cursor.value()?.content)),
            Operator::Compare(Comparison::NotEqual) => (true, Accepts::Equal(self.cursor.value()?.content)),
            Operator::In { negated } => (negated, Accepts::OneOf(self.list()?)),
            Operator::Match { negated } => (negated, Accepts::Match(self.pattern()?)),
            Operator::Exists { .. } | Operator::Compare(Comparison::Order(_)) => {
                return Err(self.cursor.error_at(start, Expected::Operator(kind)));
            }
        };
        Ok(TextTest { negated, accepts })
    }

    fn value_test<T: Operand>(&mut self, kind: SubjectKind) -> Result<ValueTest<T>, ParseError> {
        let (start, operator) = self.operator(kind)?;
        let Operator::Compare(comparison) = operator else {
            return Err(self.cursor.error_at(start, Expected::Operator(kind)));
        };
        let Text { start, content, .. } = self.cursor.value()?;
        match T::parse(&content) {
            Some(operand) => Ok(ValueTest { comparison, operand }),
            None => Err(ParseError::new(
                start,
                T::EXPECTED,
                Found::excerpt(content.chars()),
            )),
        }
    }

    fn operator(&mut self, kind: SubjectKind) -> Result<(usize, Operator), ParseError> {
        self.cursor.skip_white();
        let start = self.cursor.at();
        match self.cursor.operator() {
            Some(operator) => Ok((start, operator)),
            None => Err(self.cursor.error_at(start, Expected::Operator(kind))),
        }
    }

    /// At least one value, no comma after the last. [CQL-9]
    fn list(&mut self) -> Result<Vec<String>, ParseError> {
        self.cursor.skip_white();
        if !self.cursor.eat("[") {
            return Err(self.cursor.error(Expected::List));
        }
        let mut values = Vec::new();
        loop {
            values.push(self.cursor.value()?.content);
            self.cursor.skip_white();
            if self.cursor.eat("]") {
                return Ok(values);
            }
            if !self.cursor.eat(",") {
                return Err(self.cursor.error(Expected::ListContinuation));
            }
        }
    }

    fn pattern(&mut self) -> Result<Pattern, ParseError> {
        let text = self.cursor.pattern()?;
        Pattern::parse(&text.content).map_err(|error| {
            let rest = text.content.chars().skip(error.offset);
            let found = if text.content.chars().count() > error.offset {
                Found::excerpt(rest)
            } else {
                Found::End
            };
            let offset = text.content_start.saturating_add(error.offset);
            ParseError::new(offset, Expected::PatternThatIs(error.problem), found)
        })
    }
}

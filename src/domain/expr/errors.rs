//! What a refused expression is told: where, what was expected there, what was found instead.

use std::fmt;

use super::{ATTRIBUTE_NAME_LENGTH_MAX, EXPRESSION_DEPTH_MAX, EXPRESSION_LENGTH_MAX};

/// Most characters of the offending text an error repeats.
const EXCERPT_LENGTH_MAX: usize = 24;

/// Why a text is not an expression. Its `Display` is one line of at most 512 characters. [CQL-25]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "Invalid expression{}: expected {expected} at character {}, found {found}",
    Place(*.constraint),
    .offset.saturating_add(1)
)]
pub struct ParseError {
    constraint: Option<usize>,
    offset: usize,
    expected: Expected,
    found: Found,
}

impl ParseError {
    pub(super) fn new(offset: usize, expected: Expected, found: Found) -> Self {
        Self {
            constraint: None,
            offset,
            expected,
            found,
        }
    }

    /// The same, saying that the expression is that of `placementConstraints[index]`.
    #[must_use]
    pub fn in_constraint(self, index: usize) -> Self {
        Self {
            constraint: Some(index),
            ..self
        }
    }

    /// Where the text stops being an expression, in characters from its start, the first being 0; the text counts
    /// from 1.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// What would have been accepted there.
    #[must_use]
    pub fn expected(&self) -> &Expected {
        &self.expected
    }

    /// What stands there instead.
    #[must_use]
    pub fn found(&self) -> &Found {
        &self.found
    }
}

/// Where the expression stands, for the text.
struct Place(Option<usize>);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(index) => write!(f, " in placementConstraints[{index}]"),
            None => Ok(()),
        }
    }
}

/// What stands where something else was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing: the text ends.
    End,
    /// The beginning of the offending text, with control characters escaped.
    Text(String),
}

impl Found {
    /// The beginning of `chars`, fit to be shown on one line.
    pub(super) fn excerpt(chars: impl IntoIterator<Item = char>) -> Self {
        let mut shown = String::new();
        let mut rest = chars.into_iter();
        for c in rest.by_ref().take(EXCERPT_LENGTH_MAX) {
            match c {
                '\'' | '"' | '\\' => shown.push(c),
                other => shown.extend(other.escape_debug()),
            }
        }
        if rest.next().is_some() {
            shown.push('…');
        }
        Self::Text(shown)
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::End => f.write_str("the end"),
            Self::Text(text) => write!(f, "`{text}`"),
        }
    }
}

/// The subjects of predicates, as named in messages. [CQL-1]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectKind {
    /// `agentConnected`
    AgentConnected,
    /// `agentVersion`
    AgentVersion,
    /// `ec2InstanceId`
    Ec2InstanceId,
    /// `registeredAt`
    RegisteredAt,
    /// `runningTasksCount`
    RunningTasksCount,
    /// `task:group`
    TaskGroup,
    /// `attribute:NAME`
    Attribute,
}

impl SubjectKind {
    /// The subjects that are one fixed word.
    pub(super) const WORDS: [Self; 6] = [
        Self::AgentConnected,
        Self::AgentVersion,
        Self::Ec2InstanceId,
        Self::RegisteredAt,
        Self::RunningTasksCount,
        Self::TaskGroup,
    ];

    /// The word the language uses; for an attribute, the part before its name.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::AgentConnected => "agentConnected",
            Self::AgentVersion => "agentVersion",
            Self::Ec2InstanceId => "ec2InstanceId",
            Self::RegisteredAt => "registeredAt",
            Self::RunningTasksCount => "runningTasksCount",
            Self::TaskGroup => "task:group",
            Self::Attribute => "attribute:",
        }
    }

    /// The operators the subject takes, in symbols. [CQL-2]
    #[must_use]
    pub fn operators(self) -> &'static str {
        match self {
            Self::AgentConnected | Self::Ec2InstanceId => "== != in !in =~ !~",
            Self::AgentVersion | Self::RegisteredAt | Self::RunningTasksCount => "== != > >= < <=",
            Self::TaskGroup => "== != exists !exists in !in =~ !~",
            Self::Attribute => "== != > >= < <= exists !exists in !in =~ !~",
        }
    }
}

impl fmt::Display for SubjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())?;
        f.write_str(if *self == Self::Attribute { "NAME" } else { "" })
    }
}

/// What would have been accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Expected {
    /// The text is too long to be looked at.
    #[error("at most {} characters", EXPRESSION_LENGTH_MAX)]
    Length,
    /// One more `not` or parenthesis would be too deep.
    #[error("at most {} nested `not` and `(`", EXPRESSION_DEPTH_MAX)]
    Depth,
    /// The beginning of a predicate or group.
    #[error(
        "`not`, `(` or a subject (agentConnected, agentVersion, ec2InstanceId, registeredAt, \
         runningTasksCount, task:group, attribute:NAME)"
    )]
    Term,
    /// A name after `attribute:`. [ATTR-2]
    #[error(
        "an attribute name of 1 to {} letters, digits, `-`, `_`, `.`, `/`, `\\`",
        ATTRIBUTE_NAME_LENGTH_MAX
    )]
    AttributeName,
    /// An operator that the subject takes. [CQL-3]
    #[error("an operator of {} ({})", .0, .0.operators())]
    Operator(SubjectKind),
    /// A value.
    #[error("a value (in quotes if it has spaces, quotes, brackets, commas, `&&` or `||`)")]
    Value,
    /// A pattern.
    #[error("a pattern (in quotes if it has spaces, quotes, parentheses, `&&` or `||`)")]
    Pattern,
    /// The quotation mark that ends a value.
    #[error("a closing {0}")]
    ClosingQuote(char),
    /// The beginning of a list.
    #[error("a list such as [a, b]")]
    List,
    /// The next part of a list. [CQL-9]
    #[error("`,` or `]`")]
    ListContinuation,
    /// A version. [CQL-13]
    #[error("a version of numbers and dots such as 1.14.5")]
    Version,
    /// An instant. [CQL-14]
    #[error("an instant such as 2018-06-18, 2018-06-18T22:28:28 or 2018-06-18T22:28:28Z")]
    Instant,
    /// A count.
    #[error("an integer")]
    Integer,
    /// The text between two predicates, or its end.
    #[error("`and`, `or` or the end (values with spaces need quotes)")]
    ConnectiveOrEnd,
    /// The text between two predicates in parentheses, or their end.
    #[error("`and`, `or` or `)` (values with spaces need quotes)")]
    ConnectiveOrParenthesis,
    /// A pattern without this problem. [CQL-12]
    #[error("a pattern {0}")]
    PatternThatIs(PatternProblem),
}

/// What is wrong with a pattern, worded to follow "expected a pattern". [CQL-12]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternProblem {
    /// `(?=…)`, `(?!…)`
    #[error("without look-ahead")]
    LookAhead,
    /// `(?<=…)`, `(?<!…)`
    #[error("without look-behind")]
    LookBehind,
    /// `\1`, `\k<name>`
    #[error("without back-references")]
    BackReference,
    /// `a*+`
    #[error("without possessive quantifiers")]
    PossessiveQuantifier,
    /// `(?>…)`
    #[error("without atomic groups")]
    AtomicGroup,
    /// `a**`
    #[error("without a quantifier after a quantifier")]
    StackedQuantifier,
    /// `a{,3}`
    #[error("with counts written {{n}}, {{n,}} or {{n,m}}")]
    Count,
    /// `(?x)`, `(?P<name>…)`
    #[error("with no group options but i, m and s")]
    GroupOption,
    /// `(?<a.b>…)`
    #[error("with group names of letters and digits")]
    GroupName,
    /// `\Q`, `\x41`, `\p{L}`
    #[error(
        "with no escapes but \\d \\D \\w \\W \\s \\S \\b \\B \\A \\z \\t \\n \\r \\f and those of symbols"
    )]
    Escape,
    /// `[a--b]`, `[a~~b]`
    #[error("without `--` and `~~` in classes (escape the characters)")]
    ClassOperator,
    /// `[[:alpha:]]`
    #[error("without [:names:] in classes")]
    ClassName,
    /// `[a-\d]`, `[a-[b]]`
    #[error("without a range that ends in a class (put `-` first)")]
    ClassInRange,
    /// `a)`
    #[error("without an unmatched `)`")]
    UnmatchedParenthesis,
    /// Larger than [`super::PATTERN_SIZE_BYTES_MAX`] once compiled.
    #[error("with fewer or smaller repetitions")]
    TooLarge,
    /// Anything else, in the words of the regular expression engine.
    #[error("that is well formed ({0})")]
    Syntax(String),
}

//! A parsed expression.

/// An expression. Macros are nodes of their own, so that every loop is bounded by a list or a map.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expr {
    Literal(Literal),
    Ident(String, At),
    /// `of.field`, or `of.?field`.
    Select {
        of: Box<Expr>,
        field: String,
        optional: bool,
        at: At,
    },
    /// `has(of.field)`.
    Has {
        of: Box<Expr>,
        field: String,
        at: At,
    },
    /// `of[key]`, or `of[?key]`.
    Index {
        of: Box<Expr>,
        key: Box<Expr>,
        optional: bool,
    },
    /// A function, or a method with its target. Functions of a library are named with it: `sets.contains`.
    Call {
        name: String,
        target: Option<Box<Expr>>,
        args: Vec<Expr>,
        at: At,
    },
    List(Vec<Item>),
    Map(Vec<Entry>),
    Not(Box<Expr>),
    Negate(Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Cond(Box<Expr>, Box<Expr>, Box<Expr>),
    Binary(Operator, Box<Expr>, Box<Expr>),
    Fold(Box<Fold>),
}

/// The place in the source, in characters from its beginning.
pub(super) type At = usize;

/// An item of a list; an optional one is left out when it has no value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Item {
    pub value: Expr,
    pub optional: bool,
}

/// An entry of a map.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub key: Expr,
    pub value: Expr,
    pub optional: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
}

/// The operators with two operands that take both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    In,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

/// A macro: its range is walked with one variable or two, and the body evaluated for each step.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fold {
    pub kind: FoldKind,
    pub range: Expr,
    /// The item, or with two variables the index or key.
    pub first: String,
    /// With two variables the item or value.
    pub second: Option<String>,
    /// Steps for which this is false are left out.
    pub filter: Option<Expr>,
    pub body: Expr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FoldKind {
    All,
    Exists,
    ExistsOne,
    /// `map`, `filter` and `transformList`: a list of the bodies.
    List,
    /// `transformMap`: a map with the same keys.
    Map,
    /// `transformMapEntry`: a map of the bodies' entries.
    Entries,
    /// `sortBy`: the items in the order of the bodies.
    SortBy,
    /// `optMap`: the body for an optional's value.
    OptMap,
    /// `optFlatMap`: the same, where the body is an optional itself.
    OptFlatMap,
}

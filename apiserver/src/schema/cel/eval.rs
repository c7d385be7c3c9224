//! Evaluation of an expression, step by step, within a budget.

use std::rc::Rc;

use super::ast::{Entry, Expr, Item, Literal, Operator};
use super::compare::{contains, equal, order};
use super::fault::Fault;
use super::value::{Map, Text, Val};
use super::{Program, arithmetic, library};

/// How deep expressions and macros may be nested while they run.
const DEPTH_MAX: usize = 160;

/// What a rule sees and what it may still spend.
pub(crate) struct Machine<'p, 'a> {
    pub(super) program: &'p Program,
    pub(super) variables: Vec<(&'p str, Val<'a>)>,
    /// Steps that are left.
    pub(super) budget: u64,
    depth: usize,
}

pub(super) type Outcome<'a> = Result<Val<'a>, Fault>;

impl<'p, 'a> Machine<'p, 'a> {
    pub(super) fn new(program: &'p Program, variables: Vec<(&'p str, Val<'a>)>, budget: u64) -> Self {
        Self {
            program,
            variables,
            budget,
            depth: 0,
        }
    }

    /// Pays for a step.
    pub(super) fn charge(&mut self, steps: usize) -> Result<(), Fault> {
        let steps = u64::try_from(steps).unwrap_or(u64::MAX);
        let rest = self.budget.checked_sub(steps);
        self.budget = rest.unwrap_or(0);
        rest.map(|_| ()).ok_or(Fault::Exhausted)
    }

    pub(super) fn eval(&mut self, expr: &'p Expr) -> Outcome<'a> {
        self.charge(1)?;
        if self.depth >= DEPTH_MAX {
            return Err(Fault::error("expression recursion limit exceeded"));
        }
        self.depth = self.depth.saturating_add(1);
        let outcome = self.step(expr);
        self.depth = self.depth.saturating_sub(1);
        outcome
    }

    fn step(&mut self, expr: &'p Expr) -> Outcome<'a> {
        match expr {
            Expr::Literal(literal) => Ok(constant(literal)),
            Expr::Ident(name, _) => self.variable(name),
            Expr::Select {
                of, field, optional, ..
            } => self.select(of, field, *optional),
            Expr::Has { of, field, .. } => {
                let of = self.eval(of)?;
                Ok(Val::Bool(field_of(&of, field)?.is_some()))
            }
            Expr::Index { of, key, optional } => self.index(of, key, *optional),
            Expr::Call {
                name, target, args, ..
            } => self.call(name, target.as_deref(), args),
            Expr::List(items) => self.list(items),
            Expr::Map(entries) => self.map(entries),
            Expr::Not(operand) => match self.eval(operand)? {
                Val::Bool(flag) => Ok(Val::Bool(!flag)),
                _ => Err(Fault::overload()),
            },
            Expr::Negate(operand) => arithmetic::negate(&self.eval(operand)?),
            Expr::And(left, right) => self.logic(left, right, false),
            Expr::Or(left, right) => self.logic(left, right, true),
            Expr::Cond(cond, yes, no) => match self.eval(cond)? {
                Val::Bool(true) => self.eval(yes),
                Val::Bool(false) => self.eval(no),
                _ => Err(Fault::overload()),
            },
            Expr::Binary(operator, left, right) => {
                let (left, right) = (self.eval(left)?, self.eval(right)?);
                self.charge(size_of(&left).min(size_of(&right)).div_ceil(10))?;
                binary(*operator, &left, &right)
            }
            Expr::Fold(fold) => self.fold(fold),
        }
    }

    fn variable(&self, name: &str) -> Outcome<'a> {
        if let Some((_, value)) = self.variables.iter().rev().find(|(known, _)| *known == name) {
            return Ok(value.clone());
        }
        match super::check::TYPES.iter().find(|known| **known == name) {
            Some(name) => Ok(Val::Type(name)),
            None => Err(Fault::Error(format!("no such attribute(s): {name}"))),
        }
    }

    fn select(&mut self, of: &'p Expr, field: &str, optional: bool) -> Outcome<'a> {
        let of = self.eval(of)?;
        let chained = matches!(of, Val::Optional(_));
        let found = field_of(&of, field)?;
        match found {
            Some(value) if optional || chained => Ok(Val::some(value)),
            Some(value) => Ok(value),
            None if optional || chained => Ok(Val::Optional(None)),
            None => Err(Fault::Error(format!("no such key: {field}"))),
        }
    }

    fn index(&mut self, of: &'p Expr, key: &'p Expr, optional: bool) -> Outcome<'a> {
        let of = self.eval(of)?;
        let key = self.eval(key)?;
        let chained = matches!(of, Val::Optional(_));
        match element(&of, &key)? {
            Some(value) if optional || chained => Ok(Val::some(value)),
            Some(value) => Ok(value),
            None if optional || chained => Ok(Val::Optional(None)),
            None => Err(Fault::Error(match of {
                Val::List(_) => format!("index out of bounds: {}", library::shown(&key)),
                _ => format!("no such key: {}", library::shown(&key)),
            })),
        }
    }

    /// `&&` and `||`: the side that decides makes an error of the other irrelevant.
    fn logic(&mut self, left: &'p Expr, right: &'p Expr, decides: bool) -> Outcome<'a> {
        let first = match self.eval(left) {
            Ok(Val::Bool(flag)) if flag == decides => return Ok(Val::Bool(decides)),
            Ok(Val::Bool(_)) => Ok(()),
            Ok(_) => Err(Fault::overload()),
            Err(Fault::Exhausted) => return Err(Fault::Exhausted),
            Err(fault) => Err(fault),
        };
        match self.eval(right) {
            Ok(Val::Bool(flag)) if flag == decides => Ok(Val::Bool(decides)),
            Err(Fault::Exhausted) => Err(Fault::Exhausted),
            second => {
                first?;
                match second? {
                    Val::Bool(_) => Ok(Val::Bool(!decides)),
                    _ => Err(Fault::overload()),
                }
            }
        }
    }

    fn call(&mut self, name: &'p str, target: Option<&'p Expr>, args: &'p [Expr]) -> Outcome<'a> {
        // The alternative of an optional is evaluated only when it is needed.
        if let (Some(target), "or" | "orValue", [other]) = (target, name, args) {
            return match self.eval(target)? {
                Val::Optional(None) => self.eval(other),
                Val::Optional(Some(value)) if name == "orValue" => Ok(value.as_ref().clone()),
                some @ Val::Optional(_) => Ok(some),
                _ => Err(Fault::overload()),
            };
        }
        let mut values = Vec::with_capacity(args.len().saturating_add(1));
        for arg in target.into_iter().chain(args) {
            values.push(self.eval(arg)?);
        }
        let size = values.iter().map(size_of).fold(0usize, usize::saturating_add);
        self.charge(size.div_ceil(10))?;
        let result = library::call(self.program, name, target.is_some(), &values)?;
        self.charge(size_of(&result).div_ceil(10))?;
        Ok(result)
    }

    fn list(&mut self, items: &'p [Item]) -> Outcome<'a> {
        let mut list = Vec::with_capacity(items.len());
        for Item { value, optional } in items {
            match (self.eval(value)?, optional) {
                (Val::Optional(None), true) => {}
                (Val::Optional(Some(value)), true) => list.push(value.as_ref().clone()),
                (_, true) => return Err(Fault::overload()),
                (value, false) => list.push(value),
            }
        }
        Ok(Val::list(list))
    }

    fn map(&mut self, entries: &'p [Entry]) -> Outcome<'a> {
        let mut map = Vec::with_capacity(entries.len());
        for Entry { key, value, optional } in entries {
            let key = self.eval(key)?;
            let value = match (self.eval(value)?, optional) {
                (Val::Optional(None), true) => continue,
                (Val::Optional(Some(value)), true) => value.as_ref().clone(),
                (_, true) => return Err(Fault::overload()),
                (value, false) => value,
            };
            insert(&mut map, key, value)?;
        }
        Ok(Val::Map(Map::Own(Rc::new(map))))
    }
}

/// Adds an entry to a map that is being made.
pub(super) fn insert<'a>(
    map: &mut Vec<(Val<'a>, Val<'a>)>,
    key: Val<'a>,
    value: Val<'a>,
) -> Result<(), Fault> {
    if !matches!(key, Val::Bool(_) | Val::Int(_) | Val::Uint(_) | Val::Text(_)) {
        return Err(Fault::Error(format!("unsupported key type: {}", key.type_name())));
    }
    for (known, _) in map.iter() {
        if equal(known, &key)? {
            return Err(Fault::Error(format!(
                "insert failed: key {} already exists",
                library::shown(&key)
            )));
        }
    }
    map.push((key, value));
    Ok(())
}

fn constant<'a>(literal: &Literal) -> Val<'a> {
    match literal {
        Literal::Null => Val::Null,
        Literal::Bool(flag) => Val::Bool(*flag),
        Literal::Int(n) => Val::Int(*n),
        Literal::Uint(n) => Val::Uint(*n),
        Literal::Double(n) => Val::Double(*n),
        Literal::Text(text) => Val::text(text.as_str()),
        Literal::Bytes(bytes) => Val::Bytes(bytes.as_slice().into()),
    }
}

/// A field of an object, or of the one in an optional.
fn field_of<'a>(of: &Val<'a>, field: &str) -> Result<Option<Val<'a>>, Fault> {
    match of {
        Val::Map(Map::Part(object)) => object.find(field),
        Val::Map(map) => map.find(&Val::text(field)),
        Val::Optional(None) => Ok(None),
        Val::Optional(Some(value)) => field_of(value, field),
        _ => Err(Fault::overload()),
    }
}

/// An item of a list or an entry of a map, or of the one in an optional.
fn element<'a>(of: &Val<'a>, key: &Val<'a>) -> Result<Option<Val<'a>>, Fault> {
    match (of, key) {
        (Val::List(list), Val::Int(index)) => match usize::try_from(*index) {
            Ok(index) => list.get(index),
            Err(_) => Ok(None),
        },
        (Val::Map(map), key) => map.find(key),
        (Val::Optional(None), _) => Ok(None),
        (Val::Optional(Some(value)), key) => element(value, key),
        _ => Err(Fault::overload()),
    }
}

fn binary<'a>(operator: Operator, left: &Val<'a>, right: &Val<'a>) -> Outcome<'a> {
    let flag = match operator {
        Operator::Equal => equal(left, right)?,
        Operator::NotEqual => !equal(left, right)?,
        Operator::Less => order(left, right)?.is_lt(),
        Operator::LessEqual => order(left, right)?.is_le(),
        Operator::Greater => order(left, right)?.is_gt(),
        Operator::GreaterEqual => order(left, right)?.is_ge(),
        Operator::In => match right {
            Val::List(list) => contains(&list.items()?, left)?,
            Val::Map(map) => map.find(left)?.is_some(),
            _ => return Err(Fault::overload()),
        },
        Operator::Add | Operator::Subtract | Operator::Multiply | Operator::Divide | Operator::Modulo => {
            return arithmetic::apply(operator, left, right);
        }
    };
    Ok(Val::Bool(flag))
}

/// How much there is to look at.
fn size_of(value: &Val<'_>) -> usize {
    match value {
        Val::Text(text) => text.as_str().len(),
        Val::Bytes(bytes) => bytes.len(),
        Val::List(list) => list.len().saturating_mul(10),
        Val::Map(map) => map.len().saturating_mul(10),
        _ => 1,
    }
}

/// A string of the value, when it is one.
pub(super) fn as_text<'v>(value: &'v Val<'_>) -> Result<&'v str, Fault> {
    match value {
        Val::Text(text) => Ok(Text::as_str(text)),
        _ => Err(Fault::overload()),
    }
}

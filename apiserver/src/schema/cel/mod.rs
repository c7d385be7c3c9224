//! The Common Expression Language as Kubernetes has it in rules of custom resources.
//!
//! A rule is parsed once and evaluated on borrowed JSON. Every step is paid from a budget, so that none runs forever;
//! there are no loops but the macros', which are over lists and maps that exist.

mod arithmetic;
mod ast;
mod check;
mod compare;
mod convert;
mod escape;
mod eval;
mod fault;
mod fold;
mod format;
mod lex;
mod library;
mod lists;
mod macros;
mod named;
mod net;
mod parse;
mod quantity;
mod semver;
mod strings;
#[cfg(test)]
mod tests;
mod timestamps;
mod value;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;

use regex::Regex;

use super::re;
use ast::Expr;
pub(crate) use fault::Fault;
use quantity::Quantity;
pub(crate) use value::Val;

/// A compiled expression.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    expr: Expr,
    /// The regular expressions that stand in it as constants.
    regexes: BTreeMap<String, Regex>,
    uses_old_self: bool,
}

/// The variables of rules.
#[derive(Clone, Debug)]
pub(crate) struct Variables<'a> {
    pub new: Val<'a>,
    /// What `oldSelf` is, where there is one.
    pub old: Option<Val<'a>>,
}

/// How two quantities compare; `None` when one of them is none.
pub(crate) fn compare_quantities(a: &str, b: &str) -> Option<Ordering> {
    Some(Quantity::parse(a)?.cmp(&Quantity::parse(b)?))
}

impl Program {
    /// Compiles an expression.
    ///
    /// # Errors
    /// The text as the server gives it: what is wrong, the line and a mark below the place.
    pub(crate) fn compile(text: &str) -> Result<Self, String> {
        let expr = parse::parse(text).map_err(|error| report(text, &[(error.at, error.why)]))?;
        let names = check::names(&expr);
        if !names.faults.is_empty() {
            return Err(report(text, &names.faults));
        }
        let mut regexes = BTreeMap::new();
        for pattern in names.patterns {
            if let Ok(regex) = re::compile(&pattern) {
                regexes.insert(pattern, regex);
            }
        }
        Ok(Self {
            expr,
            regexes,
            uses_old_self: names.old_self,
        })
    }

    /// Whether the expression compares with what was.
    pub(crate) fn uses_old_self(&self) -> bool {
        self.uses_old_self
    }

    /// Evaluates the expression. Returns how many steps it took, too.
    pub(crate) fn run<'a>(&self, variables: &Variables<'a>, budget: u64) -> (Result<Val<'a>, Fault>, u64) {
        let mut scope = vec![("self", variables.new.clone())];
        if let Some(old) = &variables.old {
            scope.push(("oldSelf", old.clone()));
        }
        let mut machine = eval::Machine::new(self, scope, budget);
        let result = machine.eval(&self.expr);
        (result, budget.saturating_sub(machine.budget))
    }

    fn regex(&self, pattern: &str) -> Result<Cow<'_, Regex>, Fault> {
        match self.regexes.get(pattern) {
            Some(regex) => Ok(Cow::Borrowed(regex)),
            None => re::compile(pattern).map(Cow::Owned).map_err(Fault::Error),
        }
    }
}

/// The string of a result.
pub(crate) fn text_of<'v>(value: &'v Val<'_>) -> Option<&'v str> {
    eval::as_text(value).ok()
}

/// What the compiler says: each fault with its line and a mark below the place.
fn report(text: &str, faults: &[(ast::At, String)]) -> String {
    let mut out = Vec::new();
    for (at, why) in faults {
        let before: String = text.chars().take(*at).collect();
        let line = before.matches('\n').count();
        let column = before.chars().rev().take_while(|c| *c != '\n').count();
        let source = text.lines().nth(line).unwrap_or_default();
        let number = line.saturating_add(1);
        let place = column.saturating_add(1);
        let dots = ".".repeat(column);
        out.push(format!(
            "ERROR: <input>:{number}:{place}: {why}\n | {source}\n | {dots}^"
        ));
    }
    format!("compilation failed: {}", out.join("\n"))
}

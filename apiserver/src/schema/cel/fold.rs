//! The macros at work: one step for each item.

use std::rc::Rc;

use super::ast::{Expr, Fold, FoldKind};
use super::compare::order;
use super::eval::{Machine, Outcome, insert};
use super::fault::Fault;
use super::value::{Map, Val};

impl<'p, 'a> Machine<'p, 'a> {
    pub(super) fn fold(&mut self, fold: &'p Fold) -> Outcome<'a> {
        let range = self.eval(&fold.range)?;
        if matches!(fold.kind, FoldKind::OptMap | FoldKind::OptFlatMap) {
            return self.opt_map(fold, range);
        }
        let steps = steps_of(&range, fold.second.is_some())?;
        match fold.kind {
            FoldKind::All => self.quantifier(fold, &steps, false),
            FoldKind::Exists => self.quantifier(fold, &steps, true),
            FoldKind::ExistsOne => self.exists_one(fold, &steps),
            FoldKind::SortBy => self.sort_by(fold, steps),
            FoldKind::Map | FoldKind::Entries => self.new_map(fold, &steps),
            _ => self.new_list(fold, &steps),
        }
    }

    /// Evaluates an expression with the variables of one step.
    fn with_step(&mut self, fold: &'p Fold, step: &Step<'a>, expr: &'p Expr) -> Outcome<'a> {
        self.charge(1)?;
        let outer = self.variables.len();
        self.variables.push((&fold.first, step.0.clone()));
        if let Some(second) = &fold.second {
            self.variables.push((second, step.1.clone()));
        }
        let outcome = self.eval(expr);
        self.variables.truncate(outer);
        outcome
    }

    /// Whether the filter lets a step through.
    fn is_kept(&mut self, fold: &'p Fold, step: &Step<'a>) -> Result<bool, Fault> {
        match &fold.filter {
            None => Ok(true),
            Some(filter) => self.with_step(fold, step, filter).and_then(|value| truth(&value)),
        }
    }

    /// `all` and `exists`: an item that decides makes the errors of others irrelevant.
    fn quantifier(&mut self, fold: &'p Fold, steps: &[Step<'a>], decides: bool) -> Outcome<'a> {
        let mut fault = None;
        for step in steps {
            match self
                .with_step(fold, step, &fold.body)
                .and_then(|value| truth(&value))
            {
                Ok(flag) if flag == decides => return Ok(Val::Bool(decides)),
                Ok(_) => {}
                Err(Fault::Exhausted) => return Err(Fault::Exhausted),
                Err(why) => fault = fault.or(Some(why)),
            }
        }
        fault.map_or(Ok(Val::Bool(!decides)), Err)
    }

    fn exists_one(&mut self, fold: &'p Fold, steps: &[Step<'a>]) -> Outcome<'a> {
        let mut count = 0usize;
        for step in steps {
            let found = self
                .with_step(fold, step, &fold.body)
                .and_then(|value| truth(&value))?;
            count = count.saturating_add(usize::from(found));
        }
        Ok(Val::Bool(count == 1))
    }

    fn new_list(&mut self, fold: &'p Fold, steps: &[Step<'a>]) -> Outcome<'a> {
        let mut list = Vec::new();
        for step in steps {
            if self.is_kept(fold, step)? {
                list.push(self.with_step(fold, step, &fold.body)?);
            }
        }
        Ok(Val::list(list))
    }

    fn new_map(&mut self, fold: &'p Fold, steps: &[Step<'a>]) -> Outcome<'a> {
        let mut map = Vec::new();
        for step in steps {
            if !self.is_kept(fold, step)? {
                continue;
            }
            let value = self.with_step(fold, step, &fold.body)?;
            self.charge(map.len())?;
            match (fold.kind, value) {
                (FoldKind::Map, value) => insert(&mut map, step.0.clone(), value)?,
                (_, Val::Map(entries)) => {
                    for key in entries.keys() {
                        if let Some(value) = entries.find(&key)? {
                            insert(&mut map, key, value)?;
                        }
                    }
                }
                _ => return Err(Fault::overload()),
            }
        }
        Ok(Val::Map(Map::Own(Rc::new(map))))
    }

    fn sort_by(&mut self, fold: &'p Fold, steps: Vec<Step<'a>>) -> Outcome<'a> {
        let mut keyed = Vec::with_capacity(steps.len());
        for step in steps {
            let key = self.with_step(fold, &step, &fold.body)?;
            keyed.push((key, step.0));
        }
        let mut fault = None;
        keyed.sort_by(|(a, _), (b, _)| {
            order(a, b).unwrap_or_else(|why| {
                fault = Some(why);
                std::cmp::Ordering::Equal
            })
        });
        match fault {
            Some(fault) => Err(fault),
            None => Ok(Val::list(keyed.into_iter().map(|(_, item)| item).collect())),
        }
    }

    fn opt_map(&mut self, fold: &'p Fold, range: Val<'a>) -> Outcome<'a> {
        let Val::Optional(inner) = range else {
            return Err(Fault::overload());
        };
        let Some(value) = inner else {
            return Ok(Val::Optional(None));
        };
        let step = (value.as_ref().clone(), Val::Null);
        let result = self.with_step(fold, &step, &fold.body)?;
        match (fold.kind, result) {
            (FoldKind::OptMap, result) => Ok(Val::some(result)),
            (_, result @ Val::Optional(_)) => Ok(result),
            _ => Err(Fault::overload()),
        }
    }
}

/// The two variables of a step; with one variable only the first counts.
type Step<'a> = (Val<'a>, Val<'a>);

/// Items of a list, keys of a map; with two variables indices or keys, and values.
fn steps_of<'a>(range: &Val<'a>, two: bool) -> Result<Vec<Step<'a>>, Fault> {
    match range {
        Val::List(list) => {
            let items = list.items()?.into_iter();
            Ok(if two {
                (0i64..).map(Val::Int).zip(items).collect()
            } else {
                items.map(|item| (item, Val::Null)).collect()
            })
        }
        Val::Map(map) => {
            let mut steps = Vec::with_capacity(map.len());
            for key in map.keys() {
                let value = if two {
                    map.find(&key)?.unwrap_or(Val::Null)
                } else {
                    Val::Null
                };
                steps.push((key, value));
            }
            Ok(steps)
        }
        _ => Err(Fault::overload()),
    }
}

fn truth(value: &Val<'_>) -> Result<bool, Fault> {
    match value {
        Val::Bool(flag) => Ok(*flag),
        _ => Err(Fault::overload()),
    }
}

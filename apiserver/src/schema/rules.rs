//! `x-kubernetes-validations`: the rules of a schema, compiled once and evaluated on every part of an object that
//! they stand for.

use serde_json::{Map, Value};

use super::cel::{self, Fault, Program, Val, Variables};
use super::correlate::{Pair, counterpart};
use super::error::{ErrorKind, FieldError, Path};
use super::go;
use super::node::{Node, Type};
use super::props::RuleProps;

/// Steps that all rules of an object may take together.
const OBJECT_BUDGET: u64 = 10_000_000;
/// Steps that one rule may take once.
const CALL_BUDGET: u64 = 1_000_000;
/// Longest message that a rule may make.
const MESSAGE_BYTES_MAX: usize = 5 * 1024;

/// One rule.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    program: Program,
    message: String,
    message_program: Option<Program>,
    /// The rule in errors of its own: the message, or its text.
    shown: String,
    kind: ErrorKind,
    /// The field that is to blame, below the one that the rule is for.
    field: String,
    optional_old: bool,
}

impl Rule {
    /// Compiles a rule.
    ///
    /// # Errors
    /// The member that is wrong, and why.
    pub(crate) fn compile(props: &RuleProps, field: &str) -> Result<Self, (&'static str, String)> {
        let text = props.rule.trim();
        let program = Program::compile(&props.rule).map_err(|why| ("rule", why))?;
        let message_program = match props.message_expression.trim() {
            "" => None,
            _ => Some(Program::compile(&props.message_expression).map_err(|why| {
                let why = why.trim_start_matches("compilation failed: ");
                (
                    "messageExpression",
                    format!("messageExpression compilation failed: {why}"),
                )
            })?),
        };
        let message = props.message.trim();
        let failed = format!("failed rule: {text}");
        Ok(Self {
            program,
            message: if message.is_empty() {
                failed
            } else {
                message.to_owned()
            },
            message_program,
            shown: if message.is_empty() { text } else { message }.to_owned(),
            kind: match props.reason.as_deref() {
                Some("FieldValueForbidden") => ErrorKind::Forbidden,
                Some("FieldValueRequired") => ErrorKind::Required,
                Some("FieldValueDuplicate") => ErrorKind::Duplicate,
                _ => ErrorKind::Invalid,
            },
            field: field.to_owned(),
            optional_old: props.optional_old_self == Some(true),
        })
    }

    /// Whether it is a transition rule.
    pub(crate) fn uses_old_self(&self) -> bool {
        self.program.uses_old_self()
    }
}

/// Where the walk is: a value, what it was as far as rules may see it, and as far as it is told apart for tolerance.
#[derive(Clone, Copy)]
struct Spot<'a> {
    value: &'a Value,
    old: Option<&'a Value>,
    at: &'a Path<'a>,
    same: Tolerance<'a>,
}

/// What decides whether an error is tolerated because nothing changed.
#[derive(Clone, Copy, Default)]
struct Tolerance<'a> {
    pair: Option<Pair<'a>>,
    /// The nearest part around that has a counterpart.
    around: Option<Pair<'a>>,
}

impl Tolerance<'_> {
    fn holds(&self) -> bool {
        self.pair.or(self.around).is_some_and(|pair| pair.is_same())
    }

    fn key(self, name: &str) -> Self {
        match self.pair {
            None => self,
            Some(_) if self.around.is_none() && (name == "apiVersion" || name == "kind") => Self::default(),
            Some(pair) => Self {
                pair: pair.key(name),
                around: Some(pair),
            },
        }
    }

    fn index(self, index: usize) -> Self {
        match self.pair {
            None => self,
            Some(pair) => Self {
                pair: pair.index(index),
                around: Some(pair),
            },
        }
    }
}

/// The walk over one object.
struct Walk {
    errors: Vec<FieldError>,
    budget: u64,
}

/// The walk ends: the budget is spent, which was reported.
struct Spent;

/// Evaluates all rules of a schema on an object.
pub(super) fn check(node: &Node, new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut walk = Walk {
        errors: Vec::new(),
        budget: OBJECT_BUDGET,
    };
    let pair = old.map(|old| Pair { new, old, node });
    let spot = Spot {
        value: new,
        old,
        at: &Path::Root,
        same: Tolerance { pair, around: None },
    };
    // Whether it ended early makes no difference: what it found is what there is.
    let _ = walk.value(node, &spot, true);
    walk.errors
}

/// Evaluates the rules of a part that comes from nowhere.
pub(super) fn check_part(node: &Node, value: &Value, at: &Path<'_>) -> Vec<FieldError> {
    let mut walk = Walk {
        errors: Vec::new(),
        budget: OBJECT_BUDGET,
    };
    let spot = Spot {
        value,
        old: None,
        at,
        same: Tolerance::default(),
    };
    let _ = walk.value(node, &spot, false);
    walk.errors
}

impl Walk {
    fn value(&mut self, node: &Node, spot: &Spot<'_>, resource: bool) -> Result<(), Spent> {
        if spot.value.is_null() || !node.has_rules {
            return Ok(());
        }
        self.rules(node, spot, resource)?;
        match spot.value {
            Value::Array(items) => self.items(node, spot, items),
            Value::Object(map) => self.members(node, spot, map),
            _ => Ok(()),
        }
    }

    fn items(&mut self, node: &Node, spot: &Spot<'_>, items: &[Value]) -> Result<(), Spent> {
        let Some(sub) = node.items.as_deref() else {
            return Ok(());
        };
        let old = spot.old.and_then(Value::as_array);
        for (i, item) in items.iter().enumerate() {
            let below = Spot {
                value: item,
                old: old.and_then(|old| counterpart(node, old, item)),
                at: &Path::Index(spot.at, i),
                same: spot.same.index(i),
            };
            self.value(sub, &below, false)?;
        }
        Ok(())
    }

    fn members(&mut self, node: &Node, spot: &Spot<'_>, map: &Map<String, Value>) -> Result<(), Spent> {
        let old = spot.old.and_then(Value::as_object);
        for (name, value) in map {
            let known = node.properties.get(name);
            let Some(sub) = known.or_else(|| node.additional()) else {
                continue;
            };
            let at = if known.is_some() {
                Path::Field(spot.at, name)
            } else {
                Path::Key(spot.at, name)
            };
            let below = Spot {
                value,
                old: old.and_then(|old| old.get(name)).filter(|old| !old.is_null()),
                at: &at,
                same: spot.same.key(name),
            };
            self.value(sub, &below, false)?;
        }
        Ok(())
    }

    /// The rules of one part.
    fn rules(&mut self, node: &Node, spot: &Spot<'_>, resource: bool) -> Result<(), Spent> {
        if node.rules.is_empty() {
            return Ok(());
        }
        let new = Val::of(spot.value, node, resource);
        let old = spot.old.map(|old| Val::of(old, node, resource)).transpose();
        let (new, old) = match (new, old) {
            (Ok(new), Ok(old)) => (new, old),
            (Err(fault), _) | (_, Err(fault)) => {
                for rule in &node.rules {
                    self.fault(node, spot, rule, &fault);
                }
                return Ok(());
            }
        };
        for rule in &node.rules {
            if rule.uses_old_self() && old.is_none() && !rule.optional_old {
                continue;
            }
            let old = match (rule.optional_old, &old) {
                (true, Some(old)) => Some(Val::some(old.clone())),
                (true, None) => Some(Val::Optional(None)),
                (false, old) => old.clone(),
            };
            let variables = Variables {
                new: new.clone(),
                old,
            };
            self.rule(node, spot, rule, &variables)?;
        }
        Ok(())
    }

    fn rule(
        &mut self,
        node: &Node,
        spot: &Spot<'_>,
        rule: &Rule,
        variables: &Variables<'_>,
    ) -> Result<(), Spent> {
        let (result, steps) = rule.program.run(variables, CALL_BUDGET);
        self.pay(node, spot, steps)?;
        match result {
            Ok(Val::Bool(true)) => Ok(()),
            Err(fault) => {
                self.fault(node, spot, rule, &fault);
                if fault == Fault::Exhausted {
                    Err(Spent)
                } else {
                    Ok(())
                }
            }
            Ok(_) => self.broken(node, spot, rule, variables),
        }
    }

    /// Takes the steps of a rule from the budget of the object.
    fn pay(&mut self, node: &Node, spot: &Spot<'_>, steps: u64) -> Result<(), Spent> {
        let rest = self.budget.checked_sub(steps);
        self.budget = rest.unwrap_or(0);
        if rest.is_none() {
            let detail = "validation failed due to running out of cost budget, no further validation rules will be run";
            self.report(node, spot, detail.to_owned());
        }
        rest.map(|_| ()).ok_or(Spent)
    }

    /// The rule has no result.
    fn fault(&mut self, node: &Node, spot: &Spot<'_>, rule: &Rule, fault: &Fault) {
        let shown = &rule.shown;
        let text = fault.to_string();
        let detail = if *fault == Fault::Exhausted {
            format!(
                "'{text}': no further validation rules will be run due to call cost exceeds limit for rule: {shown}"
            )
        } else if text.starts_with("no such overload") {
            format!(
                "'{text}': call arguments did not match a supported operator, function or macro signature for rule: {shown}"
            )
        } else {
            format!("{text} evaluating rule: {shown}")
        };
        self.report(node, spot, detail);
    }

    fn report(&mut self, node: &Node, spot: &Spot<'_>, detail: String) {
        let value = node.type_name.as_str();
        self.errors
            .push(FieldError::invalid(spot.at.bracketed(), value, detail));
    }

    /// The rule does not hold.
    fn broken(
        &mut self,
        node: &Node,
        spot: &Spot<'_>,
        rule: &Rule,
        variables: &Variables<'_>,
    ) -> Result<(), Spent> {
        if !rule.uses_old_self() && spot.same.holds() {
            return Ok(());
        }
        let message = match &rule.message_program {
            None => None,
            Some(program) => {
                let (result, steps) = program.run(variables, CALL_BUDGET);
                self.pay(node, spot, steps)?;
                result.ok().and_then(|value| message_of(&value))
            }
        };
        let detail = message.unwrap_or_else(|| rule.message.clone());
        let gap = if rule.field.is_empty() || rule.field.starts_with('[') {
            ""
        } else {
            "."
        };
        let field = match (spot.at.bracketed().as_str(), rule.field.as_str()) {
            (at, "") => at.to_owned(),
            ("<nil>", field) => field.to_owned(),
            (at, field) => format!("{at}{gap}{field}"),
        };
        let shown = !matches!(node.ty, Type::Object | Type::Array);
        let value = Some(spot.value.clone()).filter(|_| shown);
        self.errors.push(match rule.kind {
            ErrorKind::Forbidden | ErrorKind::Required => FieldError::bare(rule.kind, field, detail),
            kind => FieldError {
                kind,
                field,
                value,
                detail: if kind == ErrorKind::Duplicate {
                    String::new()
                } else {
                    detail
                },
            },
        });
        Ok(())
    }
}

/// The message that a rule made: one line, neither empty nor too long.
fn message_of(value: &Val<'_>) -> Option<String> {
    let text = cel::text_of(value)?.trim();
    let good = !text.is_empty() && text.len() <= MESSAGE_BYTES_MAX && !text.contains('\n');
    good.then(|| text.to_owned())
}

/// The path of a rule's `fieldPath` (`.a.b['c']`) as errors show it. `None` when the schema has no such field.
pub(super) fn field_path(path: &str, node: &Node) -> Option<String> {
    let mut out = String::new();
    let mut node = node;
    let mut rest = path;
    while !rest.is_empty() {
        let (name, after) = segment(rest)?;
        if node.properties.is_empty() {
            node = node.additional()?;
            out = format!("{out}[{name}]");
        } else {
            node = node.properties.get(&name)?;
            let gap = if out.is_empty() { "" } else { "." };
            out = format!("{out}{gap}{name}");
        }
        rest = after;
    }
    Some(out)
}

/// The first step of a path, and the rest.
fn segment(path: &str) -> Option<(String, &str)> {
    if let Some(after) = path.strip_prefix('.') {
        let end = after.find(['.', '[', ']']).unwrap_or(after.len());
        let (name, rest) = after.split_at_checked(end)?;
        return (!name.is_empty()).then(|| (name.to_owned(), rest));
    }
    let mut name = String::new();
    let mut chars = path.strip_prefix("['")?.chars();
    loop {
        match chars.next()? {
            '\\' => name.push(chars.next()?),
            '\'' => break,
            c => name.push(c),
        }
    }
    Some((name, chars.as_str().strip_prefix(']')?))
}

/// The rule as errors about the schema show it.
pub(super) fn shown(props: &RuleProps) -> String {
    let text = |text: &str| go::json(&Value::from(text));
    format!(
        "{{\"Rule\":{},\"Message\":{},\"MessageExpression\":{},\"Reason\":{},\"FieldPath\":{},\"OptionalOldSelf\":{}}}",
        text(&props.rule),
        text(&props.message),
        text(&props.message_expression),
        props.reason.as_deref().map_or("null".to_owned(), text),
        text(&props.field_path),
        props
            .optional_old_self
            .map_or("null".to_owned(), |flag| flag.to_string()),
    )
}

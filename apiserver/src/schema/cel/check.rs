//! Names in an expression: variables and functions that do not exist, and what the rest needs to know of them.

use super::ast::{At, Expr, Literal};

/// Names of types, which are values themselves.
pub(super) const TYPES: [&str; 10] = [
    "bool",
    "int",
    "uint",
    "double",
    "string",
    "bytes",
    "list",
    "map",
    "null_type",
    "type",
];

/// All functions and methods.
const FUNCTIONS: [&str; 118] = [
    "size",
    "type",
    "dyn",
    "int",
    "uint",
    "double",
    "string",
    "bytes",
    "bool",
    "timestamp",
    "duration",
    "matches",
    "find",
    "findAll",
    "startsWith",
    "endsWith",
    "contains",
    "charAt",
    "indexOf",
    "lastIndexOf",
    "lowerAscii",
    "upperAscii",
    "trim",
    "replace",
    "split",
    "substring",
    "format",
    "join",
    "strings.quote",
    "isSorted",
    "sum",
    "min",
    "max",
    "slice",
    "flatten",
    "sort",
    "reverse",
    "distinct",
    "first",
    "last",
    "unwrap",
    "unwrapOpt",
    "lists.range",
    "sets.contains",
    "sets.equivalent",
    "sets.intersects",
    "ip",
    "isIP",
    "ip.isCanonical",
    "cidr",
    "isCIDR",
    "family",
    "isUnspecified",
    "isLoopback",
    "isLinkLocalMulticast",
    "isLinkLocalUnicast",
    "isGlobalUnicast",
    "containsIP",
    "containsCIDR",
    "prefixLength",
    "masked",
    "url",
    "isURL",
    "getScheme",
    "getHost",
    "getHostname",
    "getPort",
    "getEscapedPath",
    "getQuery",
    "quantity",
    "isQuantity",
    "sign",
    "isInteger",
    "asInteger",
    "asApproximateFloat",
    "isGreaterThan",
    "isLessThan",
    "compareTo",
    "add",
    "sub",
    "semver",
    "isSemver",
    "major",
    "minor",
    "patch",
    "optional.of",
    "optional.none",
    "optional.ofNonZeroValue",
    "hasValue",
    "value",
    "or",
    "orValue",
    "validate",
    "format.named",
    "format.dns1123Label",
    "format.dns1123Subdomain",
    "format.dns1035Label",
    "format.qualifiedName",
    "format.dns1123LabelPrefix",
    "format.dns1123SubdomainPrefix",
    "format.dns1035LabelPrefix",
    "format.labelValue",
    "format.uri",
    "format.uuid",
    "format.byte",
    "format.date",
    "format.datetime",
    "getFullYear",
    "getMonth",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getHours",
    "getMinutes",
    "getSeconds",
    "getMilliseconds",
    "has",
];

/// What was found.
#[derive(Default)]
pub(super) struct Names {
    /// What does not exist, and where it is named.
    pub faults: Vec<(At, String)>,
    /// Regular expressions that are constants.
    pub patterns: Vec<String>,
    /// Whether `oldSelf` is named.
    pub old_self: bool,
    scope: Vec<String>,
}

/// Looks through an expression.
pub(super) fn names(expr: &Expr) -> Names {
    let mut names = Names::default();
    names.walk(expr);
    names
}

impl Names {
    fn walk(&mut self, expr: &Expr) {
        match expr {
            Expr::Literal(_) => {}
            Expr::Ident(name, at) => self.variable(name, *at),
            Expr::Select { of, .. } | Expr::Has { of, .. } => self.walk(of),
            Expr::Index { of, key, .. } => {
                self.walk(of);
                self.walk(key);
            }
            Expr::Call {
                name,
                target,
                args,
                at,
            } => {
                self.function(name, args, *at);
                for arg in target.as_deref().into_iter().chain(args) {
                    self.walk(arg);
                }
            }
            Expr::List(items) => items.iter().for_each(|item| self.walk(&item.value)),
            Expr::Map(entries) => {
                for entry in entries {
                    self.walk(&entry.key);
                    self.walk(&entry.value);
                }
            }
            Expr::Not(operand) | Expr::Negate(operand) => self.walk(operand),
            Expr::And(left, right) | Expr::Or(left, right) | Expr::Binary(_, left, right) => {
                self.walk(left);
                self.walk(right);
            }
            Expr::Cond(cond, yes, no) => {
                self.walk(cond);
                self.walk(yes);
                self.walk(no);
            }
            Expr::Fold(fold) => {
                self.walk(&fold.range);
                let outer = self.scope.len();
                self.scope.push(fold.first.clone());
                self.scope.extend(fold.second.clone());
                fold.filter.iter().for_each(|filter| self.walk(filter));
                self.walk(&fold.body);
                self.scope.truncate(outer);
            }
        }
    }

    fn variable(&mut self, name: &str, at: At) {
        if self.scope.iter().any(|known| known == name) || name == "self" || TYPES.contains(&name) {
            return;
        }
        if name == "oldSelf" {
            self.old_self = true;
            return;
        }
        self.undeclared(name, at);
    }

    fn function(&mut self, name: &str, args: &[Expr], at: At) {
        if !FUNCTIONS.contains(&name) {
            self.undeclared(name, at);
        }
        if let ("matches" | "find" | "findAll", Some(Expr::Literal(Literal::Text(pattern)))) =
            (name, args.last())
        {
            self.patterns.push(pattern.clone());
        }
        if let ("findAll", Some(Expr::Literal(Literal::Text(pattern)))) = (name, args.first()) {
            self.patterns.push(pattern.clone());
        }
    }

    fn undeclared(&mut self, name: &str, at: At) {
        self.faults
            .push((at, format!("undeclared reference to '{name}' (in container '')")));
    }
}

//! The macros: calls that bind variables.

use super::ast::{At, Expr, Fold, FoldKind};

/// The libraries whose functions are named with them.
const LIBRARIES: [&str; 7] = ["sets", "strings", "lists", "optional", "format", "ip", "math"];

/// `target.name(args)`: a macro, a library's function, or a method.
pub(super) fn method(target: Expr, name: String, mut args: Vec<Expr>, at: At) -> Result<Expr, String> {
    if let Expr::Ident(library, _) = &target
        && LIBRARIES.contains(&library.as_str())
    {
        return Ok(Expr::Call {
            name: format!("{library}.{name}"),
            target: None,
            args,
            at,
        });
    }
    let kind = match (name.as_str(), args.len()) {
        ("all", 2 | 3) => FoldKind::All,
        ("exists", 2 | 3) => FoldKind::Exists,
        ("exists_one" | "existsOne", 2 | 3) => FoldKind::ExistsOne,
        ("map", 2 | 3) | ("filter", 2) | ("transformList", 3 | 4) => FoldKind::List,
        ("transformMap", 3 | 4) => FoldKind::Map,
        ("transformMapEntry", 3 | 4) => FoldKind::Entries,
        ("sortBy", 2) => FoldKind::SortBy,
        ("optMap", 2) => FoldKind::OptMap,
        ("optFlatMap", 2) => FoldKind::OptFlatMap,
        _ => {
            return Ok(Expr::Call {
                name,
                target: Some(Box::new(target)),
                args,
                at,
            });
        }
    };
    let one_variable = matches!(
        name.as_str(),
        "map" | "filter" | "sortBy" | "optMap" | "optFlatMap"
    );
    let two_variables = name.starts_with("transform") || (!one_variable && args.len() == 3);
    let body = args.pop().ok_or("argument missing")?;
    let mut rest = args.into_iter();
    let first = variable(rest.next())?;
    let second = if two_variables {
        Some(variable(rest.next())?)
    } else {
        None
    };
    // A filter's list is that of the items themselves.
    let (filter, body) = match name.as_str() {
        "filter" => (Some(body), Expr::Ident(first.clone(), at)),
        _ => (rest.next(), body),
    };
    Ok(Expr::Fold(Box::new(Fold {
        kind,
        range: target,
        first,
        second,
        filter,
        body,
    })))
}

fn variable(expr: Option<Expr>) -> Result<String, String> {
    match expr {
        Some(Expr::Ident(name, _)) => Ok(name),
        _ => Err("argument must be a simple name".to_owned()),
    }
}

/// `name(args)`: `has`, or a function.
pub(super) fn function(name: String, mut args: Vec<Expr>, at: At) -> Result<Expr, String> {
    if name != "has" || args.len() != 1 {
        return Ok(Expr::Call {
            name,
            target: None,
            args,
            at,
        });
    }
    match args.pop() {
        Some(Expr::Select {
            of,
            field,
            optional: false,
            at,
        }) => Ok(Expr::Has { of, field, at }),
        _ => Err("invalid argument to has() macro".to_owned()),
    }
}

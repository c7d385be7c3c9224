//! Messages, limits and the printed form.

use super::{Expected, Expression, message, parsed, refused};
use crate::domain::expr::{EXPRESSION_DEPTH_MAX, EXPRESSION_LENGTH_MAX, Found};

#[test]
fn messages_name_place_expectation_and_finding_cql_25() {
    assert_eq!(
        message("attribute:stack = prod"),
        "Invalid expression: expected an operator of attribute:NAME \
         (== != > >= < <= exists !exists in !in =~ !~) at character 17, found `=`"
    );
    assert_eq!(
        message("runningTasksCount == one"),
        "Invalid expression: expected an integer at character 22, found `one`"
    );
    assert_eq!(
        message("attribute:stack =~ a(?=b)"),
        "Invalid expression: expected `and`, `or` or the end (values with spaces need quotes) at character 21, found `(?=`"
    );
    assert_eq!(
        message("attribute:stack =~ 'a(?=b)'"),
        "Invalid expression: expected a pattern without look-ahead at character 22, found `(?=b)`"
    );
    let error = Expression::parse("").unwrap_err().in_constraint(1);
    assert!(
        error
            .to_string()
            .starts_with("Invalid expression in placementConstraints[1]: expected ")
    );
    // Positions count characters, not bytes.
    assert_eq!(refused("attribute:v == é x").0, 17);
}

#[test]
fn messages_escape_what_would_break_the_line_and_stay_short_cql_25() {
    let error = Expression::parse("\u{7}\u{202e}\u{0}").unwrap_err();
    assert_eq!(error.found(), &Found::Text(r"\u{7}\u{202e}\0".to_owned()));
    let longest = message(&"\u{e0001}".repeat(EXPRESSION_LENGTH_MAX));
    assert!(
        longest.chars().count() <= 512 && longest.ends_with("…`"),
        "{longest}"
    );
}

#[test]
fn length_at_the_limit_is_accepted_and_over_it_refused() {
    let filled = |length: usize| format!("attribute:v == {}", "é".repeat(length - 15));
    assert!(Expression::parse(&filled(EXPRESSION_LENGTH_MAX)).is_ok());
    assert_eq!(
        refused(&filled(EXPRESSION_LENGTH_MAX + 1)),
        (EXPRESSION_LENGTH_MAX, Expected::Length)
    );
}

#[test]
fn depth_at_the_limit_is_accepted_and_over_it_refused() {
    let nested = |open: &str, close: &str, depth: usize| {
        format!("{}agentVersion == 1{}", open.repeat(depth), close.repeat(depth))
    };
    for (open, close) in [("(", ")"), ("!", ""), ("not ", "")] {
        assert!(
            Expression::parse(&nested(open, close, EXPRESSION_DEPTH_MAX)).is_ok(),
            "{open}"
        );
        let over = nested(open, close, EXPRESSION_DEPTH_MAX + 1);
        assert_eq!(
            refused(&over),
            (EXPRESSION_DEPTH_MAX * open.len(), Expected::Depth),
            "{open}"
        );
    }
    assert!(message(&"(".repeat(EXPRESSION_LENGTH_MAX)).contains("at most 64 nested `not` and `(`"));
}

/// Depth is what surrounds a place, not what stands before it.
#[test]
fn depth_of_neighbours_does_not_add_up() {
    let group = format!("{}agentVersion == 1{}", "(".repeat(40), ")".repeat(40));
    assert!(Expression::parse(&format!("{group} or {group} or {group}")).is_ok());
}

#[test]
fn printed_form_is_spaced_and_has_no_needless_parentheses() {
    for (text, printed) in [
        ("((attribute:a==b))", "attribute:a == b"),
        (
            "!(attribute:a!exists||!attribute:b<=c)",
            "not (attribute:a !exists or not attribute:b <= c)",
        ),
        (
            "attribute:a not_in[x,'y z']&&(task:group!~a)",
            "attribute:a !in [x, 'y z'] and task:group !~ a",
        ),
        (
            "(agentVersion>1||agentVersion<1)&&agentVersion!=2",
            "(agentVersion > 1 or agentVersion < 1) and agentVersion != 2",
        ),
        ("attribute:a == \"\"", "attribute:a == ''"),
        ("attribute:a == \"it's\"", "attribute:a == \"it's\""),
    ] {
        assert_eq!(parsed(text).to_string(), printed);
    }
}

/// The spaced form of a dense expression may exceed the limit; what is printed then still parses.
#[test]
fn printed_form_of_a_dense_expression_stays_within_the_limit() {
    let dense = ["attribute:a==b"; 125].join("||");
    assert_eq!(dense.len(), EXPRESSION_LENGTH_MAX - 2);
    let expression = parsed(&dense);
    assert_eq!(expression.to_string(), dense);
}

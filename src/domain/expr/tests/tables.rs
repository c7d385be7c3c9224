//! The tables of expected results and of refusals.

use super::{Expected, Expression, instances, refused};
use crate::domain::expr::{PatternProblem, SubjectKind};

/// Row, expression, and whether instances A, B and C satisfy it.
const RESULTS: [(&str, &str, &str); 70] = [
    ("E01", "attribute:ecs.instance-type == t2.small", "TFF"),
    ("E02", "attribute:ecs.instance-type==t2.small", "TFF"),
    ("E03", "attribute:ecs.instance-type equals t2.small", "TFF"),
    ("E04", "attribute:ecs.instance-type != t2.small", "FTT"),
    ("E05", "attribute:ecs.instance-type not_equals t2.small", "FTT"),
    ("E06", "attribute:stack == prod", "TFF"),
    ("E07", "attribute:stack != prod", "FTF"),
    ("E08", "not(attribute:stack == prod)", "FTT"),
    ("E09", "!(attribute:stack == prod)", "FTT"),
    ("E10", "attribute:stack exists", "TTF"),
    ("E11", "attribute:stack !exists", "FFT"),
    ("E12", "attribute:stack not_exists", "FFT"),
    ("E13", "attribute:ssd exists", "FTF"),
    ("E14", "attribute:ssd == true", "FFF"),
    ("E15", "attribute:stack !exists or attribute:stack != prod", "FTT"),
    ("E16", "attribute:stack == Prod", "FFF"),
    ("E17", "attribute:Stack exists", "FFF"),
    (
        "E18",
        "attribute:ecs.availability-zone in [us-east-1a, us-east-1b]",
        "TTF",
    ),
    (
        "E19",
        "attribute:ecs.availability-zone in [us-east-1a,us-east-1b]",
        "TTF",
    ),
    (
        "E20",
        "attribute:ecs.availability-zone not_in [us-east-1a, us-east-1b]",
        "FFT",
    ),
    ("E21", "attribute:ecs.availability-zone !in [us-east-1d]", "TTF"),
    ("E22", "attribute:stack not_in [prod]", "FTF"),
    ("E23", "ec2InstanceId in ['i-abcd1234', 'i-wxyx7890']", "TTF"),
    ("E24", "ec2InstanceId == i-cccc3333", "FFT"),
    ("E25", "ec2InstanceId =~ i-[a-c].*", "TFT"),
    ("E26", "ec2InstanceId =~ 'i-[a-c].*'", "TFT"),
    ("E27", "attribute:ecs.instance-type =~ g2.*", "FTT"),
    ("E28", "attribute:ecs.instance-type matches g2.*", "FTT"),
    ("E29", "attribute:ecs.instance-type =~ g2", "FFF"),
    ("E30", "attribute:ecs.instance-type =~ .*xlarge", "FTT"),
    ("E31", "attribute:ecs.instance-type !~ g2.*", "TFF"),
    ("E32", "attribute:ecs.instance-type not_matches t2.*", "FTT"),
    ("E33", "attribute:stack !~ t.*", "TFF"),
    (
        "E34",
        "attribute:ecs.instance-type =~ g2.* and attribute:ecs.availability-zone != us-east-1d",
        "FTF",
    ),
    (
        "E35",
        "attribute:ecs.instance-type =~ g2.* && attribute:ecs.availability-zone != us-east-1d",
        "FTF",
    ),
    (
        "E36",
        "attribute:stack == test or attribute:ecs.cpu-architecture == arm64",
        "FTT",
    ),
    (
        "E37",
        "attribute:stack == test || attribute:ecs.cpu-architecture == arm64",
        "FTT",
    ),
    (
        "E38",
        "attribute:stack == prod or attribute:stack == test and attribute:ecs.cpu-architecture == arm64",
        "TFF",
    ),
    (
        "E39",
        "(attribute:stack == prod or attribute:stack == test) and attribute:ecs.cpu-architecture == arm64",
        "FFF",
    ),
    (
        "E40",
        "not attribute:stack == prod and attribute:ecs.os-type == linux",
        "FTT",
    ),
    (
        "E41",
        "not(attribute:stack == prod and attribute:ecs.os-type == linux)",
        "FTT",
    ),
    ("E42", "not(not(attribute:stack == prod))", "TFF"),
    ("E43", "task:group == service:production", "TFT"),
    ("E44", "task:group == database", "FFT"),
    ("E45", "not(task:group == database)", "TTF"),
    ("E46", "task:group == family:batch", "FFT"),
    ("E47", "task:group =~ service:.*", "TFT"),
    ("E48", "task:group in [database, service:production]", "TFT"),
    ("E49", "runningTasksCount == 1", "TFF"),
    ("E50", "runningTasksCount < 1", "FTF"),
    ("E51", "runningTasksCount >= 1", "TFT"),
    ("E52", "runningTasksCount greater_than_equal 5", "FFT"),
    ("E53", "agentVersion < 1.14.5", "FFT"),
    ("E54", "agentVersion >= 1.14.5", "TTF"),
    ("E55", "agentVersion == 1.14.10", "FTF"),
    ("E56", "agentConnected == true", "TTF"),
    ("E57", "agentConnected == false", "FFT"),
    ("E58", "agentConnected in [true]", "TTF"),
    ("E59", "registeredAt < 2018-02-13", "TFT"),
    ("E60", "registeredAt > 2018-06-18", "FTF"),
    ("E61", "registeredAt <= 2018-06-18T22:28:28Z", "TTT"),
    ("E62", "registeredAt >= 2018-06-18T22:28:28+00:00", "FTF"),
    ("E63", "registeredAt less_than 2018-01-01T00:00:00", "FFT"),
    ("E64", "attribute:slots >= 10", "TFF"),
    ("E65", "attribute:missing > 1", "FFF"),
    ("E66", "attribute:slots > 9", "TFF"),
    ("E67", "attribute:rack/zone == r1", "FFT"),
    ("E68", "attribute:owner == 'team a'", "FFT"),
    ("E69", r#"attribute:owner == "team a""#, "FFT"),
    (
        "E70",
        "attribute:ecs.os-type == linux and runningTasksCount == 0 and agentConnected == true",
        "FTF",
    ),
];

/// E01 to E70.
#[test]
fn expected_results_every_row_holds() {
    let instances = [instances::a(), instances::b(), instances::c()];
    let mut failures = Vec::new();
    for (row, text, expected) in RESULTS {
        let found = match Expression::parse(text) {
            Ok(expression) => instances
                .iter()
                .map(|i| if expression.matches(i) { 'T' } else { 'F' })
                .collect(),
            Err(error) => error.to_string(),
        };
        if found != expected {
            failures.push(format!("{row} {text}: expected {expected}, found {found}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Every row of the results prints as something that parses to the same tree.
#[test]
fn expected_results_print_and_parse_to_the_same_tree() {
    for (row, text, _) in RESULTS {
        let expression = Expression::parse(text).unwrap();
        assert_eq!(
            Expression::parse(&expression.to_string()),
            Ok(expression),
            "{row}"
        );
    }
}

/// Expression, where it is refused, and what was expected there.
fn refusals() -> [(&'static str, usize, Expected); 19] {
    [
        // nothing to parse
        ("", 0, Expected::Term),
        // value missing
        ("attribute:stack ==", 18, Expected::Value),
        // no operator `=`
        (
            "attribute:stack = prod",
            16,
            Expected::Operator(SubjectKind::Attribute),
        ),
        // subject must begin with attribute:
        ("stack == prod", 0, Expected::Term),
        // list needed
        ("attribute:stack in prod", 19, Expected::List),
        // empty list
        ("attribute:stack in []", 20, Expected::Value),
        // operator not valid for the subject
        (
            "agentVersion =~ 1.*",
            13,
            Expected::Operator(SubjectKind::AgentVersion),
        ),
        // same
        (
            "agentVersion in [1.14.5]",
            13,
            Expected::Operator(SubjectKind::AgentVersion),
        ),
        // same
        (
            "ec2InstanceId > i-1",
            14,
            Expected::Operator(SubjectKind::Ec2InstanceId),
        ),
        // same
        (
            "runningTasksCount exists",
            18,
            Expected::Operator(SubjectKind::RunningTasksCount),
        ),
        // not an integer
        ("runningTasksCount == one", 21, Expected::Integer),
        // not a date
        ("registeredAt > yesterday", 15, Expected::Instant),
        // unbalanced
        ("(attribute:stack == prod", 24, Expected::ConnectiveOrParenthesis),
        // operator missing between predicates
        (
            "attribute:stack == prod attribute:env == x",
            24,
            Expected::ConnectiveOrEnd,
        ),
        // bad pattern
        (
            "attribute:stack =~ '('",
            20,
            Expected::PatternThatIs(PatternProblem::Syntax("unclosed group".to_owned())),
        ),
        // unquoted space
        ("attribute:owner == team a", 24, Expected::ConnectiveOrEnd),
        // empty attribute name
        ("attribute: == x", 10, Expected::AttributeName),
        // right side missing
        ("attribute:stack == prod and", 27, Expected::Term),
        // operator missing
        ("task:group", 10, Expected::Operator(SubjectKind::TaskGroup)),
    ]
}

/// The table of expressions that must be rejected. [CQL-2, CQL-3, CQL-9, CQL-22]
#[test]
fn refusals_every_row_is_refused_at_its_place() {
    for (text, offset, expected) in refusals() {
        assert_eq!(refused(text), (offset, expected), "{text:?}");
    }
}

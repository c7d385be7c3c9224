//! What is an expression: CQL-1 to CQL-9, CQL-22 and the characters of attributes.

use super::instances::a;
use super::{Expected, Expression, holds, message, parsed, refused, with};
use crate::domain::expr::{ATTRIBUTE_NAME_LENGTH_MAX, SubjectKind};

#[test]
fn operators_every_alias_gives_the_same_tree_cql_1() {
    let aliases = [
        ("task:group !exists", "task:group not_exists"),
        ("task:group in [x]", "task:group in[x]"),
        ("task:group !in [x]", "task:group not_in [x]"),
        ("task:group =~ x", "task:group matches x"),
        ("task:group !~ x", "task:group not_matches x"),
        ("agentVersion == 1", "agentVersion equals 1"),
        ("agentVersion != 1", "agentVersion not_equals 1"),
        ("agentVersion >= 1", "agentVersion greater_than_equal 1"),
        ("agentVersion > 1", "agentVersion greater_than 1"),
        ("agentVersion <= 1", "agentVersion less_than_equal 1"),
        ("agentVersion < 1", "agentVersion less_than 1"),
    ];
    for (symbol, word) in aliases {
        assert_eq!(parsed(symbol), parsed(word), "{symbol} and {word}");
        assert_eq!(parsed(symbol), parsed(&symbol.replace(' ', "\t\n ")), "{symbol}");
    }
    assert_eq!(parsed("agentVersion>=1"), parsed("agentVersion >= 1"));
    assert_eq!(
        parsed("attribute:a!exists&&!attribute:b!in[x]"),
        parsed("attribute:a !exists and not attribute:b !in [x]")
    );
}

/// Exactly the operators of a subject's row are accepted.
#[test]
fn operators_outside_the_subjects_row_are_refused_cql_2_cql_3() {
    let kinds = [
        (SubjectKind::AgentConnected, "true"),
        (SubjectKind::AgentVersion, "1.2"),
        (SubjectKind::Ec2InstanceId, "i-1"),
        (SubjectKind::RegisteredAt, "2018-06-18"),
        (SubjectKind::RunningTasksCount, "3"),
        (SubjectKind::TaskGroup, "service:x"),
        (SubjectKind::Attribute, "x"),
    ];
    let operators = [
        "==", "!=", ">", ">=", "<", "<=", "exists", "!exists", "in", "!in", "=~", "!~",
    ];
    for (kind, value) in kinds {
        let subject = if kind == SubjectKind::Attribute {
            "attribute:n"
        } else {
            kind.word()
        };
        for operator in operators {
            let operand = match operator {
                "exists" | "!exists" => String::new(),
                "in" | "!in" => format!("[{value}]"),
                _ => value.to_owned(),
            };
            let text = format!("{subject} {operator} {operand}");
            let listed = kind.operators().split(' ').any(|listed| listed == operator);
            let result = Expression::parse(&text);
            assert_eq!(result.is_ok(), listed, "{text}");
            if let Err(error) = result {
                assert_eq!(error.expected(), &Expected::Operator(kind), "{text}");
                assert_eq!(error.offset(), subject.len() + 1, "{text}");
            }
        }
    }
}

#[test]
fn operators_that_run_into_a_longer_word_are_refused_cql_1() {
    for text in [
        "task:group existsx",
        "task:group inx",
        "task:group !inx",
        "task:group in_ [x]",
        "notagentVersion == 1",
    ] {
        assert!(Expression::parse(text).is_err(), "{text}");
    }
    assert_eq!(refused("task:group exists orx").1, Expected::ConnectiveOrEnd);
    assert!(holds("task:group exists or(task:group !exists)", &a()));
    assert!(holds("attribute:stack equals'prod'and(task:group exists)", &a()));
}

#[test]
fn parentheses_around_a_single_predicate_are_accepted_cql_4() {
    assert_eq!(parsed("(attribute:a == b)"), parsed("attribute:a == b"));
    assert_eq!(parsed("( ( attribute:a == b ) )"), parsed("attribute:a == b"));
    assert_eq!(refused("()"), (1, Expected::Term));
    assert_eq!(refused("attribute:a == b)"), (16, Expected::ConnectiveOrEnd));
}

#[test]
fn precedence_not_binds_tighter_than_and_than_or_cql_5() {
    let [x, y, z] = ["attribute:x exists", "attribute:y exists", "attribute:z exists"];
    assert_eq!(
        parsed(&format!("{x} or {y} and {z}")),
        parsed(&format!("{x} or ({y} and {z})"))
    );
    assert_eq!(
        parsed(&format!("{x} and {y} or {z}")),
        parsed(&format!("({x} and {y}) or {z}"))
    );
    assert_eq!(
        parsed(&format!("not {x} and {y}")),
        parsed(&format!("(not {x}) and {y}"))
    );
    assert_eq!(
        parsed(&format!("!!{x}&&{y}||{z}")),
        parsed(&format!("((not (not {x})) and {y}) or {z}"))
    );
    assert_ne!(
        parsed(&format!("not ({x} and {y})")),
        parsed(&format!("not {x} and {y}"))
    );
}

#[test]
fn words_in_upper_case_are_refused_cql_6() {
    assert_eq!(
        refused("agentVersion == 1 AND agentVersion == 1"),
        (18, Expected::ConnectiveOrEnd)
    );
    assert_eq!(refused("NOT agentVersion == 1"), (0, Expected::Term));
    assert_eq!(
        refused("agentVersion EQUALS 1"),
        (13, Expected::Operator(SubjectKind::AgentVersion))
    );
    assert_eq!(refused("AgentVersion == 1"), (0, Expected::Term));
}

#[test]
fn quotes_keep_everything_but_themselves_cql_8() {
    let tricky = with("v", Some(r#"a "b" && (c) [d], \'"#.trim_end_matches('\'')));
    assert!(holds(r#"attribute:v == 'a "b" && (c) [d], \'"#, &tricky));
    assert!(holds(r#"attribute:v == "it's""#, &with("v", Some("it's"))));
    assert!(holds("attribute:v == ''", &with("v", Some(""))));
    assert_eq!(
        refused("attribute:v == 'open"),
        (20, Expected::ClosingQuote('\''))
    );
    assert_eq!(
        refused("attribute:v == \"open'"),
        (21, Expected::ClosingQuote('"'))
    );
    assert_eq!(refused("attribute:v == 'a'b"), (18, Expected::ConnectiveOrEnd));
}

#[test]
fn bare_values_end_where_the_grammar_says_cql_8() {
    assert!(holds("attribute:v == a&b|c!=~<>", &with("v", Some("a&b|c!=~<>"))));
    assert!(holds("attribute:v==and", &with("v", Some("and"))));
    assert!(holds(
        "attribute:v==x&&attribute:stack==prod",
        &with("v", Some("x"))
    ));
    assert!(holds(
        "attribute:v==x||attribute:nothing exists",
        &with("v", Some("x"))
    ));
    assert!(holds("(attribute:v==x)", &with("v", Some("x"))));
    assert_eq!(refused("attribute:v == [x]"), (15, Expected::Value));
    assert_eq!(refused("attribute:v == a,b"), (16, Expected::ConnectiveOrEnd));
}

#[test]
fn lists_need_a_value_between_commas_cql_9() {
    assert_eq!(
        parsed("attribute:a in [ x , 'y' ]"),
        parsed("attribute:a in[x,y]")
    );
    assert_eq!(refused("attribute:a in [x,]"), (18, Expected::Value));
    assert_eq!(refused("attribute:a in [,x]"), (16, Expected::Value));
    assert_eq!(refused("attribute:a in [x y]"), (18, Expected::ListContinuation));
    assert_eq!(refused("attribute:a in [x"), (17, Expected::ListContinuation));
}

#[test]
fn blank_text_is_refused_cql_22() {
    for text in ["", " ", "\n\t"] {
        assert_eq!(refused(text), (text.len(), Expected::Term));
    }
    assert!(message("").ends_with("at character 1, found the end"));
}

#[test]
fn attribute_names_take_the_documented_characters_up_to_the_limit_attr_2() {
    let longest = "n".repeat(ATTRIBUTE_NAME_LENGTH_MAX);
    assert!(Expression::parse(&format!("attribute:{longest} exists")).is_ok());
    assert_eq!(
        refused(&format!("attribute:{longest}n exists")),
        (10, Expected::AttributeName)
    );
    assert!(holds(
        r"attribute:A-z_0.9/x\y == v",
        &with(r"A-z_0.9/x\y", Some("v"))
    ));
    assert_eq!(refused("attribute:é exists"), (10, Expected::AttributeName));
    assert_eq!(
        refused("attribute:a@b exists"),
        (11, Expected::Operator(SubjectKind::Attribute))
    );
    assert_eq!(refused("attribute:: exists"), (10, Expected::AttributeName));
}

#[test]
fn attribute_values_take_the_documented_characters_attr_3() {
    let value = r"Az09-_.@/\:";
    assert!(holds(&format!("attribute:v == {value}"), &with("v", Some(value))));
    assert!(holds(
        &format!("attribute:v in [x,{value}]"),
        &with("v", Some(value))
    ));
}

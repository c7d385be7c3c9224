//! What predicates mean: CQL-7 and CQL-13 to CQL-24.

use super::instances::{a, b, c, instant};
use super::{Expected, Instance, holds, refused, with};

#[test]
fn text_equality_is_exact_and_case_sensitive_cql_7() {
    assert!(!holds("ec2InstanceId == I-ABCD1234", &a()));
    assert!(!holds("task:group == service:Production", &a()));
    assert!(!holds("attribute:stack in [PROD, pro]", &a()));
    assert!(!holds("agentConnected == TRUE", &a()));
}

/// A group of another namespace is reached by `NAMESPACE/group`; the view offers that spelling.
#[test]
fn task_group_with_a_namespace_is_a_plain_value_cql_16() {
    let mut instance = b();
    instance.task_groups = vec!["other/service:x"];
    assert!(holds("task:group == other/service:x", &instance));
    assert!(holds("task:group in [service:y,other/service:x]", &instance));
    assert!(!holds("task:group == service:x", &instance));
}

#[test]
fn agent_version_compares_components_as_numbers_cql_13() {
    let version = |reported| Instance {
        agent_version: Some(reported),
        ..a()
    };
    assert!(holds("agentVersion == 1.14.5.0", &a()));
    assert!(holds("agentVersion == 01.014.5", &a()));
    assert!(holds("agentVersion > 1.14", &a()));
    assert!(holds("agentVersion != 1.14.50", &a()));
    assert!(holds("agentVersion <= '1.14.5'", &a()));
    assert!(holds("agentVersion >= 1.31", &version("v1.31.2+k3s1")));
    assert!(holds("agentVersion == 1.31.2", &version("1.31.2-eks-1a2b")));
    for text in [
        "1.",
        ".1",
        "1..2",
        "v1",
        "1.x",
        "''",
        "latest",
        "-1",
        "99999999999999999999",
    ] {
        assert_eq!(
            refused(&format!("agentVersion == {text}")),
            (16, Expected::Version),
            "{text}"
        );
    }
}

/// By analogy with a missing attribute.
#[test]
fn unknown_version_or_instant_every_comparison_is_false_cql_21() {
    let mut instance = a();
    instance.registered_at = None;
    for version in [None, Some("dev"), Some("")] {
        instance.agent_version = version;
        for operator in ["==", "!=", "<", "<=", ">", ">="] {
            assert!(
                !holds(&format!("agentVersion {operator} 1"), &instance),
                "{operator}"
            );
            assert!(
                !holds(&format!("registeredAt {operator} 2018-01-01"), &instance),
                "{operator}"
            );
        }
    }
}

#[test]
fn registered_at_accepts_the_documented_forms_in_utc_cql_14() {
    let at = |text| Instance {
        registered_at: Some(instant(text)),
        ..a()
    };
    let midnight = at("2018-06-18T00:00:00Z");
    for text in [
        "2018-06-18",
        "2018-06-18T00:00:00",
        "2018-06-18T00:00:00Z",
        "2018-06-18T00:00:00+00:00",
        "2018-06-18T02:00:00+02:00",
        "2018-06-17T22:30:00-01:30",
        "'2018-06-18T00:00:00Z'",
    ] {
        assert!(holds(&format!("registeredAt == {text}"), &midnight), "{text}");
    }
    for text in [
        "2018-6-18",
        "2018-02-30",
        "20180618",
        "2018-06-18T00:00",
        "2018-06-18T24:00:00Z",
        "2018-06-18t00:00:00z",
        "2018-06-18T00:00:00.5Z",
        "2018-06-18T00:00:00+99:00",
        "2018-06-18T00:00:00+0000",
        "'2018-06-18 00:00:00'",
        "-02018-06-18",
        "٢٠١٨-٠٦-١٨",
    ] {
        assert_eq!(
            refused(&format!("registeredAt == {text}")),
            (16, Expected::Instant),
            "{text}"
        );
    }
}

#[test]
fn registered_at_compares_whole_seconds_cql_14() {
    let later = Instance {
        registered_at: Some(instant("2018-06-18T22:28:28.9Z")),
        ..a()
    };
    let results: Vec<bool> = ["==", "!=", "<", "<=", ">", ">="]
        .into_iter()
        .map(|operator| holds(&format!("registeredAt {operator} 2018-06-18T22:28:28Z"), &later))
        .collect();
    assert_eq!(results, [true, false, false, true, false, true]);
}

#[test]
fn running_tasks_count_takes_any_integer_cql_15() {
    assert!(holds("runningTasksCount > -1", &b()));
    assert!(holds("runningTasksCount == 05", &c()));
    assert!(holds("runningTasksCount < 9223372036854775807", &c()));
    for text in ["1.0", "1e3", "''", "9223372036854775808", "0x1", "१"] {
        assert_eq!(
            refused(&format!("runningTasksCount == {text}")),
            (21, Expected::Integer),
            "{text}"
        );
    }
}

#[test]
fn task_group_negations_mean_no_task_has_it_cql_16_cql_17() {
    for (text, expected) in [
        ("task:group != database", [true, true, false]),
        ("task:group !in [database, x]", [true, true, false]),
        ("task:group !~ service:.*", [false, true, false]),
        ("task:group exists", [true, false, true]),
        ("task:group !exists", [false, true, false]),
    ] {
        assert_eq!(
            [a(), b(), c()].map(|instance| holds(text, &instance)),
            expected,
            "{text}"
        );
    }
}

#[test]
fn attribute_without_value_equals_the_empty_text_only_cql_18_cql_19() {
    for (text, expected) in [
        ("attribute:ssd == ''", true),
        ("attribute:ssd != ''", false),
        ("attribute:ssd != x", true),
        ("attribute:ssd in [x, '']", true),
        ("attribute:ssd !in [x]", true),
        ("attribute:ssd =~ ''", true),
        ("attribute:ssd =~ .+", false),
        ("attribute:ssd > ''", false),
        ("attribute:ssd >= ''", false),
        ("attribute:ssd < x", false),
        ("attribute:ssd <= x", false),
        ("attribute:ssd exists", true),
        ("attribute:ssd !exists", false),
    ] {
        assert_eq!(holds(text, &b()), expected, "{text}");
    }
}

#[test]
fn attribute_order_is_numeric_if_both_sides_are_numbers_cql_20() {
    for (value, text, expected) in [
        ("10", "> 9", true),
        ("10", ">= 10.0", true),
        ("10", "<= 10.00", true),
        ("10", "> 010", false),
        ("-5", "< -4.5", true),
        ("-5", "< +1", true),
        ("-0", ">= 0", true),
        ("0.25", "< 0.3", true),
        ("1.5", "> 1", true),
        (
            "123456789012345678901234567890",
            "> 123456789012345678901234567889",
            true,
        ),
        ("10", "> 9a", false),
        ("1e3", "> 2", false),
        ("inf", "< nan", true),
        ("b", "> a", true),
        ("Z", "< a", true),
        ("10.", "< 9", true),
    ] {
        assert_eq!(
            holds(&format!("attribute:v {text}"), &with("v", Some(value))),
            expected,
            "{value} {text}"
        );
    }
    assert!(
        !holds("attribute:v == 10.0", &with("v", Some("10"))),
        "equality compares texts"
    );
}

#[test]
fn missing_attribute_satisfies_only_not_exists_cql_21() {
    for test in [
        "== x", "!= x", "> 1", ">= 1", "< 1", "<= 1", "in [x]", "!in [x]", "=~ x", "!~ x", "exists",
    ] {
        assert!(!holds(&format!("attribute:none {test}"), &a()), "{test}");
        assert!(holds(&format!("not attribute:none {test}"), &a()), "not {test}");
    }
    assert!(holds("attribute:none !exists", &a()));
}

#[test]
fn unknown_names_and_values_are_accepted_and_never_match_cql_24() {
    assert!(!holds("attribute:no.such/name == nothing", &a()));
    assert!(!holds("agentConnected == perhaps", &a()));
    assert!(!holds("ec2InstanceId == node-1", &a()));
}

//! Patterns: what both dialects share, and what is refused by name.

use super::instances::a;
use super::{Expected, Instance, holds, message, refused};
use crate::domain::expr::PatternProblem;

fn matches(pattern: &str, value: &'static str) -> bool {
    let instance = Instance {
        ec2_instance_id: value,
        ..a()
    };
    holds(&format!("ec2InstanceId =~ \"{pattern}\""), &instance)
}

/// Where the pattern is refused, counted from its own beginning, and why.
fn problem(pattern: &str) -> (usize, PatternProblem) {
    let prefix = "ec2InstanceId =~ \"";
    match refused(&format!("{prefix}{pattern}\"")) {
        (offset, Expected::PatternThatIs(problem)) => (offset - prefix.len(), problem),
        other => panic!("{pattern}: {other:?}"),
    }
}

#[test]
fn patterns_common_constructs_match_whole_values_cql_10_cql_11() {
    for (pattern, value, expected) in [
        ("a|b", "b", true),
        ("a|b", "ab", false),
        ("a|b|", "", true),
        ("", "", true),
        ("", "x", false),
        ("g2", "xg2", false),
        ("^g2$", "g2", true),
        (r"\Ag2\z", "g2", true),
        ("(a)(?:b)(?<n>c)", "abc", true),
        ("(?i)PROD", "prod", true),
        ("(?i:P)rod", "prod", true),
        ("(?i-s:P)rod", "pROD", false),
        ("a{2}b{1,}c{0,3}", "aabcc", true),
        ("a*?b+?c??d{1,2}?", "aabd", true),
        ("[^a-c]+", "xyz", true),
        ("[a-z&&[^b]]+", "abc", false),
        ("[a-z&&[^b]]+", "acd", true),
        ("[]a]+", "]a", true),
        ("[^]a]+", "]", false),
        ("[-a]+", "-a", true),
        ("[a-]+", "-a", true),
        (r"[\w.-]+", "a_9.-", true),
        (r"[\[\]]+", "[]", true),
        (r"[a\-z]+", "a-z", true),
        (r"[a\-z]+", "b", false),
        (r"i\.x\-y\/z\:\<\>\é", "i.x-y/z:<>é", true),
        (".", "é", true),
        (".", "\n", false),
        ("(?s).", "\n", true),
        ("(?m)a$\\n^b", "a\nb", true),
    ] {
        assert_eq!(matches(pattern, value), expected, "{pattern} on {value}");
    }
}

#[test]
fn patterns_classes_are_ascii_as_in_java_cql_12() {
    for (pattern, inside, outside) in [
        (r"\d", "7", "٧"),
        (r"\w", "_", "é"),
        (r"\s", "\u{b}", "\u{a0}"),
        (r"\D", "٧", "7"),
        (r"\W", "é", "_"),
        (r"\S", "\u{a0}", " "),
        (r"[\d]", "7", "٧"),
        (r"[^\w]", "é", "_"),
        (r"[\Wx]", "é", "_"),
        (r"a\bé", "aé", "é"),
        (r"a\B_", "a_", "é"),
    ] {
        assert!(matches(pattern, inside), "{pattern} on {inside}");
        assert!(!matches(pattern, outside), "{pattern} on {outside}");
    }
}

#[test]
fn patterns_constructs_the_engine_lacks_are_refused_by_name_cql_12() {
    for (pattern, offset, expected) in [
        ("a(?=b)", 1, PatternProblem::LookAhead),
        ("a(?!b)", 1, PatternProblem::LookAhead),
        ("(?<=a)b", 0, PatternProblem::LookBehind),
        ("(?<!a)b", 0, PatternProblem::LookBehind),
        (r"(a)\1", 3, PatternProblem::BackReference),
        (r"(?<n>a)\k<n>", 7, PatternProblem::BackReference),
        ("a*+", 1, PatternProblem::PossessiveQuantifier),
        ("a++", 1, PatternProblem::PossessiveQuantifier),
        ("a?+", 1, PatternProblem::PossessiveQuantifier),
        ("a{2,3}+", 1, PatternProblem::PossessiveQuantifier),
        ("x(?>a)", 1, PatternProblem::AtomicGroup),
    ] {
        assert_eq!(problem(pattern), (offset, expected), "{pattern}");
    }
    for name in [
        "look-ahead",
        "look-behind",
        "back-references",
        "possessive quantifiers",
        "atomic groups",
    ] {
        let pattern = match name {
            "look-ahead" => "(?=a)",
            "look-behind" => "(?<=a)",
            "back-references" => r"(a)\1",
            "possessive quantifiers" => "a++",
            _ => "(?>a)",
        };
        assert!(
            message(&format!("task:group =~ '{pattern}'")).contains(name),
            "{name}"
        );
    }
}

/// What would compile here and mean something else in Java.
#[test]
fn patterns_constructs_with_another_meaning_are_refused_cql_12() {
    for (pattern, offset, expected) in [
        ("a**", 1, PatternProblem::StackedQuantifier),
        ("a*?+", 1, PatternProblem::StackedQuantifier),
        ("a{2}{3}", 1, PatternProblem::StackedQuantifier),
        ("a{,3}", 1, PatternProblem::Count),
        ("a{x}", 1, PatternProblem::Count),
        ("a{2", 1, PatternProblem::Count),
        ("(?x)a", 0, PatternProblem::GroupOption),
        ("(?U)a", 0, PatternProblem::GroupOption),
        ("(?P<n>a)", 0, PatternProblem::GroupOption),
        ("(?<a.b>c)", 0, PatternProblem::GroupName),
        ("(?<a[>b)c)|(?:d]", 0, PatternProblem::GroupName),
        (r"\Qa.b\E", 0, PatternProblem::Escape),
        (r"a\x41", 1, PatternProblem::Escape),
        (r"\p{L}", 0, PatternProblem::Escape),
        (r"[\b]", 0, PatternProblem::Escape),
        (r"a\0", 1, PatternProblem::Escape),
        ("a\\", 1, PatternProblem::Escape),
        ("[a--b]", 0, PatternProblem::ClassOperator),
        ("[--b]", 0, PatternProblem::ClassOperator),
        ("[a~~b]", 0, PatternProblem::ClassOperator),
        ("[[:alpha:]]", 0, PatternProblem::ClassName),
        (r"[!-\d]", 0, PatternProblem::ClassInRange),
        ("[!-[a]]", 0, PatternProblem::ClassInRange),
        ("a)|(?:b", 1, PatternProblem::UnmatchedParenthesis),
        (")", 0, PatternProblem::UnmatchedParenthesis),
        ("(?i)(a)b)|(?:c", 8, PatternProblem::UnmatchedParenthesis),
    ] {
        assert_eq!(problem(pattern), (offset, expected), "{pattern}");
    }
}

#[test]
fn patterns_the_engine_refuses_carry_its_reason_on_one_line_cql_12() {
    for (pattern, reason) in [
        ("(a", "unclosed group"),
        ("[a", "unclosed character class"),
        ("[z-a]", "invalid character class range"),
        ("*a", "repetition operator missing expression"),
        ("a{3,2}", "invalid repetition count range"),
        ("(?<n>a)(?<n>b)", "duplicate capture group name"),
        ("a{99999999999}", "decimal"),
    ] {
        let text = message(&format!("task:group !~ '{pattern}'"));
        assert!(
            text.contains("a pattern that is well formed (") && text.contains(reason),
            "{text}"
        );
        assert!(!text.contains('\n'), "{text}");
    }
}

#[test]
fn patterns_too_large_once_compiled_are_refused_cql_12() {
    for pattern in ["(((a{100}){100}){100}){100}", ".{2000}"] {
        assert_eq!(problem(pattern), (0, PatternProblem::TooLarge), "{pattern}");
    }
    assert!(matches(
        "[a-z]{1,63}(?:[.][a-z0-9-]{1,63}){0,3}",
        "node.example.test"
    ));
    assert!(matches(".{1,128}", "é"));
    assert!(matches("(?:){4294967295}", ""), "repeats nothing, costs nothing");
}

/// Nesting is the engine's to bound; it must say so, not overflow.
#[test]
fn patterns_deeply_nested_are_refused_cql_12() {
    for (open, close) in [("(", ")"), ("[", "]"), ("[^", "]"), ("(?:", ")*")] {
        let depth = 300;
        let (_, found) = problem(&format!("{}a{}", open.repeat(depth), close.repeat(depth)));
        assert!(matches!(found, PatternProblem::Syntax(_)), "{open}: {found:?}");
    }
}

#[test]
fn patterns_bare_may_hold_brackets_and_commas_cql_10() {
    let instance = a();
    assert!(holds(
        "ec2InstanceId =~ i-[a-c]{1,4}[bcd]*\\d+ and task:group exists",
        &instance
    ));
    assert!(holds("ec2InstanceId=~i-.*&&agentConnected==true", &instance));
    assert_eq!(refused("ec2InstanceId =~ (a|b)").1, Expected::Pattern);
    // An intersection of classes needs quotes: `&&` ends a bare pattern.
    assert!(message("ec2InstanceId =~ [a-z&&[^b]]").contains("unclosed character class"));
}

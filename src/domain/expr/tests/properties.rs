//! Properties over generated expressions, spellings and garbage.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::instances::{a, b, c};
use super::{Expression, Instance, parsed};
use crate::domain::expr::{EXPRESSION_LENGTH_MAX, parser, print};

/// Most looks at one character, repeated looks included, and what an empty text costs.
const STEPS_PER_CHARACTER_MAX: usize = 40;
const STEPS_MIN: usize = 100;

/// `PROPTEST_CASES` asks for more cases.
fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn instances() -> [Instance; 3] {
    [a(), b(), c()]
}

/// A predicate in one of its spellings, with operands that sometimes match a sample instance.
fn predicate() -> impl Strategy<Value = String> {
    let gap = || select(vec!["", " ", "\t "]);
    let space = || select(vec![" ", "\n"]);
    let text = || {
        prop_oneof![
            select(vec![
                "prod",
                "test",
                "10",
                "9.5",
                "linux",
                "us-east-1a",
                "service:production",
                "i-abcd1234"
            ])
            .prop_map(str::to_owned),
            "[a-z0-9./@:\\\\=~!&|<>-]{1,6}".prop_filter("bare", |s| !s.contains("&&") && !s.contains("||")),
            "[a-c\" ,()&|\\[\\]=]{0,5}".prop_map(|s| format!("'{s}'")),
            "[a-c' ,()&|\\[\\]=]{0,5}".prop_map(|s| format!("\"{s}\"")),
        ]
    };
    let subject = || {
        select(vec![
            "agentConnected",
            "ec2InstanceId",
            "task:group",
            "attribute:stack",
            "attribute:slots",
            "attribute:ssd",
            "attribute:rack/zone",
            "attribute:none",
        ])
    };
    let attribute = || {
        select(vec![
            "attribute:stack",
            "attribute:ssd",
            "attribute:none",
            "task:group",
        ])
    };
    let symbol = || select(vec!["==", "!="]);
    let order = || select(vec![">", ">=", "<", "<="]);
    let in_operator = || select(vec![" in", "!in", " !in", " not_in"]);
    let pattern = select(vec![
        "prod",
        ".*",
        "[a-z]+",
        "i-[a-c].*",
        "'(a|b)+'",
        "a&b|",
        "'[a-z&&[^b]]'",
        "=x",
        "~x",
    ]);
    let value = select(vec![
        ("agentVersion", "1.14.5"),
        ("agentVersion", "'01.2'"),
        ("registeredAt", "2018-06-18"),
        ("registeredAt", "2018-06-18T22:28:28+00:00"),
        ("runningTasksCount", "+1"),
        ("runningTasksCount", "007"),
        ("runningTasksCount", "-3"),
    ]);
    prop_oneof![
        (subject(), gap(), symbol(), space(), text()).prop_map(|(s, g, o, h, v)| format!("{s}{g}{o}{h}{v}")),
        (subject(), select(vec![" equals", " not_equals"]), space(), text())
            .prop_map(|(s, o, g, v)| format!("{s}{o}{g}{v}")),
        (
            attribute(),
            select(vec![" exists", " !exists", "!exists", " not_exists"])
        )
            .prop_map(|(s, o)| format!("{s}{o}")),
        (
            select(vec!["attribute:slots", "attribute:stack"]),
            gap(),
            order(),
            space(),
            text()
        )
            .prop_map(|(s, g, o, h, v)| format!("{s}{g}{o}{h}{v}")),
        (subject(), in_operator(), gap(), vec(text(), 1..4), gap())
            .prop_map(|(s, o, g, v, h)| format!("{s}{o}{g}[{h}{}{g}]", v.join(&format!("{g},{h}")))),
        (subject(), gap(), select(vec!["=~", "!~"]), space(), pattern)
            .prop_map(|(s, g, o, h, p)| format!("{s}{g}{o}{h}{p}")),
        (value, gap(), prop_oneof![symbol(), order()], gap())
            .prop_map(|((s, v), g, o, h)| format!("{s}{g}{o}{h}{v}")),
    ]
}

/// An expression in one of its spellings.
fn expression() -> impl Strategy<Value = String> {
    predicate().prop_recursive(6, 40, 3, |inner| {
        prop_oneof![
            (select(vec!["!", "! ", "not "]), inner.clone()).prop_map(|(not, e)| format!("{not}{e}")),
            inner.clone().prop_map(|e| format!("({e})")),
            inner.clone().prop_map(|e| format!("not({e} )")),
            (
                vec(inner.clone(), 2..4),
                select(vec![" and ", " && ", " or ", " || "])
            )
                .prop_map(|(members, connective)| members.join(connective)),
            (vec(inner, 2..4), select(vec![")and(", ")&&(", ")or(", ") || ("]))
                .prop_map(|(members, connective)| format!("({})", members.join(connective))),
        ]
    })
}

/// Tokens of the language in any order.
fn garbage() -> impl Strategy<Value = String> {
    let token = select(vec![
        "(",
        ")",
        "!",
        "not",
        "and",
        "&&",
        "or",
        "||",
        "==",
        "!=",
        "=",
        "=~",
        "!~",
        ">",
        "<=",
        "in",
        "!in",
        "exists",
        "!exists",
        "[",
        "]",
        ",",
        "'",
        "\"",
        "attribute:",
        "attribute:a",
        "task:group",
        "agentVersion",
        "1.2",
        "registeredAt",
        "2018-06-18",
        "runningTasksCount",
        "x",
        "a*+",
        "(?=",
        "\\",
        "{9}",
        "é",
        "\u{0}",
        "\u{2028}",
    ]);
    vec((token, select(vec!["", " ", "\n"])), 0..300).prop_map(|parts| {
        parts
            .into_iter()
            .flat_map(|(token, gap)| [token, gap])
            .collect::<String>()
    })
}

/// Tokens of patterns in any order.
fn pattern_garbage() -> impl Strategy<Value = String> {
    let token = select(vec![
        "a", "b", "-", "0", ".", "|", "(", ")", "(?:", "(?<a", "(?<a>", ">", "(?i)", "(?=", "(?", "[", "]",
        "[^", "[a-b]", "&&", ":", "*", "+", "?", "{", "}", "{1}", "{0,2}", ",", "^", "$", "\\", "\\d", "\\w",
        "\\b", "\\1", "<", "=", "!", "~", "é",
    ]);
    vec(token, 0..12).prop_map(|tokens| tokens.concat())
}

/// Parses any text; checks everything that holds for all of them.
fn check_any_text(text: &str) -> Result<(), TestCaseError> {
    let (_, steps) = parser::parse_counting_steps(text);
    let length = text.chars().count().min(EXPRESSION_LENGTH_MAX);
    prop_assert!(
        steps <= STEPS_PER_CHARACTER_MAX * length + STEPS_MIN,
        "{steps} steps for {length} characters"
    );
    match Expression::parse(text) {
        Ok(expression) => {
            let printed = expression.to_string();
            prop_assert_eq!(Expression::parse(&printed), Ok(expression), "{}", printed);
        }
        Err(error) => {
            let message = error.to_string();
            prop_assert!(error.offset() <= text.chars().count());
            prop_assert!(message.starts_with("Invalid expression: expected "));
            prop_assert!(
                message.chars().count() <= 512 && !message.contains(char::is_control),
                "{}",
                message
            );
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn expression_printed_and_parsed_is_the_same_tree(text in expression()) {
        prop_assume!(text.chars().count() <= EXPRESSION_LENGTH_MAX);
        let expression = parsed(&text);
        for style in [print::SPACED, print::COMPACT] {
            let printed = print::print(&expression.root, style);
            if printed.chars().count() <= EXPRESSION_LENGTH_MAX {
                prop_assert_eq!(parsed(&printed), expression.clone(), "{}", printed);
            }
        }
    }

    /// Hence `Display`, which falls back to it, always fits.
    #[test]
    fn compact_form_is_never_longer_than_the_text(text in expression()) {
        prop_assume!(text.chars().count() <= EXPRESSION_LENGTH_MAX);
        let compact = print::print(&parsed(&text).root, print::COMPACT);
        prop_assert!(compact.chars().count() <= text.chars().count(), "{} from {}", compact, text);
    }

    #[test]
    fn not_not_of_an_expression_is_the_expression(text in expression()) {
        prop_assume!(text.chars().count() <= EXPRESSION_LENGTH_MAX - 10);
        let (plain, doubled) = (parsed(&text), parsed(&format!("not not ({text})")));
        for instance in instances() {
            prop_assert_eq!(plain.matches(&instance), doubled.matches(&instance));
            prop_assert_eq!(plain.matches(&instance), !parsed(&format!("!({text})")).matches(&instance));
        }
    }

    #[test]
    fn de_morgan_holds_for_and_and_or(x in expression(), y in expression()) {
        prop_assume!(x.chars().count() + y.chars().count() <= EXPRESSION_LENGTH_MAX - 30);
        for (inner, outer) in [("and", "or"), ("or", "and")] {
            let left = parsed(&format!("not (({x}) {inner} ({y}))"));
            let right = parsed(&format!("not ({x}) {outer} not ({y})"));
            for instance in instances() {
                prop_assert_eq!(left.matches(&instance), right.matches(&instance));
            }
        }
    }

    #[test]
    fn white_space_around_tokens_changes_nothing(text in expression()) {
        prop_assume!(text.chars().count() <= EXPRESSION_LENGTH_MAX - 6);
        prop_assert_eq!(parsed(&format!(" \n{text}\t\r ")), parsed(&text));
    }

    #[test]
    fn any_unicode_text_is_answered_with_bounded_work(text in "\\PC{0,2000}") {
        check_any_text(&text)?;
    }

    #[test]
    fn any_characters_at_all_are_answered_with_bounded_work(text in vec(any::<char>(), 0..2100)) {
        check_any_text(&text.into_iter().collect::<String>())?;
    }

    #[test]
    fn any_tokens_in_any_order_are_answered_with_bounded_work(text in garbage()) {
        check_any_text(&text)?;
    }

    #[test]
    fn an_expression_cut_or_changed_anywhere_is_answered(text in expression(), at in any::<prop::sample::Index>(), c in any::<char>()) {
        let mut chars: Vec<char> = text.chars().collect();
        let at = at.index(chars.len());
        check_any_text(&chars[..at].iter().collect::<String>())?;
        chars[at] = c;
        check_any_text(&chars.iter().collect::<String>())?;
    }

    /// No text made of pattern syntax escapes the anchors: a pattern that is accepted matches what the same pattern
    /// matches in a group of its own.
    #[test]
    fn any_pattern_is_answered_and_stays_anchored(pattern in pattern_garbage()) {
        if let Ok(plain) = Expression::parse(&format!("ec2InstanceId =~ '{pattern}'")) {
            let grouped = parsed(&format!("ec2InstanceId =~ '(?:{pattern})'"));
            for id in ["", "a", "ab", "a-b", "b0"] {
                let instance = Instance { ec2_instance_id: id, ..a() };
                prop_assert_eq!(plain.matches(&instance), grouped.matches(&instance));
            }
        }
    }
}

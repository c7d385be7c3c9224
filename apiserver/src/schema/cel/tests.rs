//! Expressions and their values. What the server says about rules on objects is tested with the schemas.

use serde_json::{Value, json};

use super::super::node::Node;
use super::super::props::Props;
use super::*;

/// What an expression gives, with `self` an object: the string of the value, or the error.
fn run(text: &str) -> Result<String, String> {
    let props: Props = serde_json::from_value(json!({"type": "object", "properties": {
        "s": {"type": "string"}, "i": {"type": "integer"}, "n": {"type": "number"}, "b": {"type": "boolean"},
        "d": {"type": "string", "format": "duration"}, "t": {"type": "string", "format": "date-time"},
        "list": {"type": "array", "items": {"type": "integer"}},
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "map": {"type": "object", "additionalProperties": {"type": "integer"}},
        "foo-bar": {"type": "integer"}, "namespace": {"type": "string"},
        "ios": {"x-kubernetes-int-or-string": true}, "absent": {"type": "string"},
    }}))
    .unwrap();
    let node = Node::compile(&props);
    let object: Value = json!({
        "s": "héllo", "i": 3, "n": 2, "b": true, "d": "1h", "t": "2024-02-29T12:30:00Z",
        "list": [3, 1, 2], "set": ["a", "b"], "map": {"x": 1, "y": 2}, "foo-bar": 7, "namespace": "ns", "ios": 5,
    });
    let program = Program::compile(text)?;
    let variables = Variables {
        new: Val::of(&object, &node, true).unwrap(),
        old: None,
    };
    let (result, _) = program.run(&variables, 1_000_000);
    result
        .map(|value| library::shown(&value))
        .map_err(|fault| fault.to_string())
}

#[test]
fn expressions_have_their_values() {
    let good = [
        "1 + 2 * 3 == 7 && (1 + 2) * 3 == 9",
        "-7 / 2 == -3 && -7 % 2 == -1 && 7.0 / 2.0 == 3.5",
        "1 == 1.0 && 1u == 1 && 2 > 1.5 && [1] == [1.0]",
        "self.s.size() == 5 && self.s.startsWith('hé') && self.s.charAt(1) == 'é'",
        "self.i == 3 && self.n == 2.0 && self.b",
        "has(self.s) && !has(self.absent)",
        "self.foo__dash__bar == 7 && self.__namespace__ == 'ns'",
        "self.list.all(x, x > 0) && self.list.exists(x, x == 1) && self.list.exists_one(x, x == 2)",
        "self.list.map(x, x * 2) == [6, 2, 4] && self.list.filter(x, x > 1) == [3, 2]",
        "self.list.map(x, x > 1, x * 10) == [30, 20]",
        "self.list.sum() == 6 && self.list.min() == 1 && self.list.max() == 3 && !self.list.isSorted()",
        "self.set == ['b', 'a'] && self.set + ['a', 'c'] == ['a', 'b', 'c']",
        "self.map['x'] == 1 && 'y' in self.map && self.map.all(k, k in ['x', 'y'])",
        "self.map.all(k, v, self.map[k] == v) && self.list.exists(i, v, i == 0 && v == 3)",
        "self.map.transformMap(k, v, v + 1) == {'x': 2, 'y': 3}",
        "self.list.transformList(i, v, i + v) == [3, 2, 4]",
        "{'a': 1}.transformMapEntry(k, v, {string(v): k}) == {'1': 'a'}",
        "self.ios == 5 && (self.ios == 'x' || true)",
        "self.?absent.orValue('none') == 'none' && self.?s.hasValue() && self[?'s'].value() == self.s",
        "self.?s.optMap(x, x.size()).orValue(0) == 5 && optional.none() == optional.ofNonZeroValue(0)",
        "[?self.?absent, ?self.?s].size() == 1",
        "false && 1 / 0 == 1 || true",
        "1 / 0 == 1 || true",
        "self.d == duration('60m') && duration('90m').getMinutes() == 90",
        "self.t.getFullYear() == 2024 && self.t.getMonth() == 1 && self.t.getDate() == 29 && self.t.getDayOfWeek() == 4",
        "self.t + duration('24h') > self.t && self.t - self.t == duration('0s')",
        "self.t.getHours('+02:00') == 14",
        "int('42') == 42 && double('1.5') == 1.5 && string(1.0) == '1' && string(true) == 'true' && int(3.9) == 3",
        "timestamp('2024-01-01T00:00:00Z') < self.t && type(1) == int",
        "'a,b,c'.split(',') == ['a', 'b', 'c'] && ['a', 'b'].join('-') == 'a-b' && 'abc'.split('') == ['a', 'b', 'c']",
        "'hello'.replace('l', 'L', 1) == 'heLlo' && 'tacocat'.lastIndexOf('a') == 5 && 'tacocat'.indexOf('a', 3) == 5",
        "'tacocat'.substring(4) == 'cat' && 'tacocat'.substring(0, 4) == 'taco' && ' x '.trim() == 'x'",
        "'%s has %d of %.2f%%: %s'.format(['x', 3, 1.5, [1, 'a']]) == 'x has 3 of 1.50%: [1, \"a\"]'",
        "'%x %X %b %o'.format([255, 255, 5, 8]) == 'ff FF 101 10'",
        "'abc 123'.find('[0-9]+') == '123' && '123 abc 456'.findAll('[0-9]+') == ['123', '456']",
        r"'1 2 3'.findAll(r'\d', 2) == ['1', '2'] && 'x9'.matches(r'^\w\d$')",
        "url('https://example.com:80/a?b=c').getHost() == 'example.com:80' && isURL('/a') && !isURL('a')",
        "url('https://h/?k=a&k=b').getQuery()['k'] == ['a', 'b']",
        "ip('127.0.0.1').isLoopback() && ip('::1').family() == 6 && isIP('10.0.0.1') && !isIP('10.0.0')",
        "cidr('10.0.0.0/8').containsIP('10.1.2.3') && cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16')",
        "cidr('10.1.2.3/8').masked() == cidr('10.0.0.0/8') && cidr('::/64').prefixLength() == 64",
        "quantity('1.5Gi').isGreaterThan(quantity('500Mi')) && quantity('50k').add(20).asInteger() == 50020",
        "quantity('1Ki') == quantity('1024') && !isQuantity('Mi')",
        "semver('1.2.3').isLessThan(semver('2.0.0')) && semver('v1.0', true).major() == 1",
        "!format.dns1123Label().validate('ok').hasValue() && format.dns1123Label().validate('NO').hasValue()",
        "format.named('uuid').hasValue() && !format.named('what').hasValue()",
        "sets.contains([1, 2, 3], [2]) && sets.intersects([1], [1, 2]) && sets.equivalent([1, 1], [1])",
        "[3, 1, 2].sort() == [1, 2, 3] && [1, 1, 2].distinct() == [1, 2] && [[1], [2]].flatten() == [1, 2]",
        "[1, 2, 3, 4].slice(1, 3) == [2, 3] && lists.range(3) == [0, 1, 2] && [1, 2].reverse() == [2, 1]",
        "['bb', 'a'].sortBy(x, x.size()) == ['a', 'bb']",
        "b'abc'.size() == 3 && bytes('é').size() == 2 && '\\u00e9' == 'é' && r'\\n' == '\\\\n' && '''a'b''' == \"a'b\"",
        "0x10 == 16 && 1e3 == 1000.0 && .5 == 0.5 && -9223372036854775808 < 0",
        "true ? true : 1 / 0 == 0 // comment",
        "!(self.b && self.i != 3) && !!self.b",
        "'x' in ['x'] && !('z' in {'x': 1})",
    ];
    for text in good {
        assert_eq!(run(text).as_deref(), Ok("true"), "{text}");
    }
}

#[test]
fn errors_have_the_servers_words() {
    let cases = [
        ("self.absent == 'x'", "no such key: absent"),
        ("self.list[5] == 1", "index out of bounds: 5"),
        ("self.map['z'] == 1", "no such key: z"),
        ("1 / 0 == 1", "division by zero"),
        ("1 % 0 == 1", "modulus by zero"),
        ("9223372036854775807 + 1 == 0", "integer overflow"),
        ("int('x') == 0", "type conversion error from 'string' to 'int'"),
        ("[].max() == 1", "max called on empty list"),
        ("'abc'.substring(5) == ''", "index out of range: 5"),
        ("self.ios.size() == 1", "no such overload"),
        ("optional.none().value() == 1", "optional.none() dereference"),
        ("'x'.matches('(')", "error parsing regexp: missing closing ): `(`"),
    ];
    for (text, why) in cases {
        assert_eq!(run(text), Err(why.to_owned()), "{text}");
    }
}

#[test]
fn what_does_not_exist_is_found_at_once() {
    let why = run("self.s == other").unwrap_err();
    let expected = "compilation failed: ERROR: <input>:1:11: undeclared reference to 'other' (in container '')\n \
                    | self.s == other\n | ..........^";
    assert_eq!(why, expected);
    for bad in [
        "self.",
        "1 +",
        "foo(1)",
        "self.list.all(x)",
        "has(1)",
        "'a",
        "(1",
        "[1",
        "a b",
        "self.all(1, 2)",
    ] {
        assert!(
            run(bad)
                .unwrap_err()
                .starts_with("compilation failed: ERROR: <input>:1:"),
            "{bad}"
        );
    }
}

#[test]
fn no_rule_runs_forever() {
    let loops =
        "lists.range(1000).all(a, lists.range(1000).all(b, lists.range(1000).all(c, a + b + c >= 0)))";
    assert_eq!(
        run(loops),
        Err("operation cancelled: actual cost limit exceeded".to_owned())
    );
    let grow = (0..12).fold("'x'".to_owned(), |text, _| {
        format!("{text}.replace('', 'xxxxxxxxxxxxxxxxxxxxxxxx')")
    });
    assert_eq!(
        run(&grow),
        Err("operation cancelled: actual cost limit exceeded".to_owned())
    );
    assert!(run(&"(".repeat(10_000)).is_err());
    assert!(run(&"!".repeat(10_001)).is_err());
    assert!(run(&format!("{}1{}", "[".repeat(500), "]".repeat(500))).is_err());
    assert!(run(&"1 + ".repeat(5000)).is_err());
}

//! Questions that a real API server was asked (`apiserver/hack/schema-answers.py`), answered here.

use serde_json::{Value, json};

use crate::schema::{FieldError, Schema, decode, settle, strict_error};

/// Where we answer otherwise, and why. An entry whose answer is the server's after all fails the test as well.
const DIFFERENCES: [(&str, &str); 5] = [
    (
        "schema 34",
        "the server's parser lists what it would have taken instead",
    ),
    ("schema 35", "the types of rules are not checked: not a bool"),
    ("schema 36", "the types of rules are not checked: no such field"),
    ("schema 40", "the types of rules are not checked: not a string"),
    (
        "schema 42",
        "the types of rules are not checked: a string and a number are never equal",
    ),
];

struct Group {
    name: String,
    kind: String,
    schema: Schema,
}

fn files() -> (Value, Value) {
    let read = |text: &str| serde_json::from_str(text).unwrap();
    (
        read(include_str!("questions.json")),
        read(include_str!("answers.json")),
    )
}

/// The object of a question.
fn whole(group: &Group, question: &Value, name: &Value) -> Value {
    let mut object = json!({"apiVersion": "example.com/v1", "kind": group.kind, "metadata": {"name": name}});
    let given = match question.get("object") {
        Some(object) => object.clone(),
        None => json!({"spec": question["spec"]}),
    };
    for (key, value) in given.as_object().unwrap() {
        object[key] = value.clone();
    }
    object
}

/// The object as it is stored: the name is the server's matter.
fn stored(mut object: Value, name: &Value) -> Value {
    settle(&mut object);
    object["metadata"]["name"] = name.clone();
    for key in ["kind", "apiVersion"] {
        object.as_object_mut().unwrap().remove(key);
    }
    json!({"object": object})
}

fn causes(errors: &[FieldError]) -> Value {
    let mut causes: Vec<[String; 3]> = errors
        .iter()
        .map(|error| [error.field.clone(), error.kind.cause().to_owned(), error.body()])
        .collect();
    causes.sort();
    let cause = |[field, reason, message]: &[String; 3]| json!({"field": field, "reason": reason, "message": message});
    json!({"causes": causes.iter().map(cause).collect::<Vec<_>>()})
}

/// What we say to a question.
fn ours(group: &Group, question: &Value, name: &Value) -> Value {
    let (mut object, duplicates) = match question.get("text") {
        Some(text) => decode(text.as_str().unwrap().replace("KIND", &group.kind).as_bytes()).unwrap(),
        None => (whole(group, question, name), Vec::new()),
    };
    if let Some(prefix) = object["metadata"].get("generateName") {
        object["metadata"]["name"] = json!(format!("{}{}", prefix.as_str().unwrap(), "abcde"));
    }
    let old = question.get("old").map(|old| {
        let mut old = whole(group, old, name);
        group.schema.default(&mut old);
        old
    });
    if let Some(why) = group.schema.decode_error(&object) {
        return json!({"message": format!("{0} in version \"v1\" cannot be handled as a {0}: {why}", group.kind)});
    }
    group.schema.default(&mut object);
    if let Some(why) = strict_error(&duplicates, &group.schema.prune(&mut object)) {
        return json!({"message": format!("{0} in version \"v1\" cannot be handled as a {0}: {why}", group.kind)});
    }
    let errors = group.schema.validate(&object, old.as_ref());
    if errors.is_empty() {
        stored(object, name)
    } else {
        causes(&errors)
    }
}

/// What the server said, in the same form.
fn theirs(answer: &Value) -> Value {
    match answer["causes"].as_array() {
        Some(causes) if causes.is_empty() => json!({"message": answer["message"]}),
        Some(causes) => json!({"causes": causes}),
        None => json!({"object": answer["object"]}),
    }
}

fn compare(what: &str, question: &Value, ours: &Value, theirs: &Value, failures: &mut Vec<String>) {
    let known = DIFFERENCES.iter().any(|(name, _)| *name == what);
    if (ours == theirs) == known {
        failures.push(format!("{what}: {question}\n  ours   {ours}\n  theirs {theirs}"));
    }
}

#[test]
fn objects_are_answered_as_the_real_server_answers() {
    let (questions, answers) = files();
    let mut failures = Vec::new();
    let mut count = 0;
    for (number, (group, answers)) in questions["groups"]
        .as_array()
        .unwrap()
        .iter()
        .zip(answers["groups"].as_array().unwrap())
        .enumerate()
    {
        let name = group["name"].as_str().unwrap().to_owned();
        let schema = Schema::from_json(&group["schema"]).unwrap_or_else(|why| panic!("{name}: {why}"));
        let kind = format!("Thing{number}");
        let group_ = Group { name, kind, schema };
        let questions = group["questions"].as_array().unwrap();
        assert_eq!(questions.len(), answers.as_array().unwrap().len());
        for (place, (question, answer)) in questions.iter().zip(answers.as_array().unwrap()).enumerate() {
            let name = if question.get("old").is_some() {
                json!(format!("old-{place}"))
            } else {
                json!("x")
            };
            let name = answer["object"]["metadata"].get("name").cloned().unwrap_or(name);
            let what = format!("{} {place}", group_.name);
            compare(
                &what,
                question,
                &ours(&group_, question, &name),
                &theirs(answer),
                &mut failures,
            );
            count += 1;
        }
    }
    assert!(count >= 450, "only {count} questions");
    assert!(
        failures.is_empty(),
        "{} of {count} differ:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

#[test]
fn schemas_are_refused_as_the_real_server_refuses() {
    let (questions, answers) = files();
    let (questions, answers) = (
        questions["schemas"].as_array().unwrap(),
        answers["schemas"].as_array().unwrap(),
    );
    assert!(questions.len() >= 40);
    let mut failures = Vec::new();
    for (place, (schema, answer)) in questions.iter().zip(answers).enumerate() {
        let ours = match Schema::from_json_at(schema, "spec.validation.openAPIV3Schema") {
            Ok(_) => json!({"code": 201}),
            Err(why) => causes(&why.errors),
        };
        let theirs = if answer["code"] == 201 {
            json!({"code": 201})
        } else {
            theirs(answer)
        };
        compare(&format!("schema {place}"), schema, &ours, &theirs, &mut failures);
    }
    assert!(
        failures.is_empty(),
        "{} of {} differ:\n{}",
        failures.len(),
        questions.len(),
        failures.join("\n")
    );
}

//! The compiled schema: what is looked up at every value, ready to use.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::Value;

use super::formats::Format;
use super::props::{Additional as AdditionalProps, Props, RuleProps};
use super::re;
use super::rules::{self, Rule};

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    /// No type is named: any value fits.
    Any,
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
    /// `x-kubernetes-int-or-string`.
    IntOrString,
}

impl Type {
    fn of(props: &Props) -> Self {
        if props.int_or_string {
            return Self::IntOrString;
        }
        match props.ty.as_str() {
            "object" => Self::Object,
            "array" => Self::Array,
            "string" => Self::String,
            "integer" => Self::Integer,
            "number" => Self::Number,
            "boolean" => Self::Boolean,
            _ => Self::Any,
        }
    }

    /// The name in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Any => "",
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::IntOrString => "integer,string",
        }
    }

    pub(crate) fn takes_integers(self) -> bool {
        matches!(self, Self::Integer | Self::IntOrString)
    }
}

/// How the items of a list are told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ListType {
    /// As a whole only.
    Atomic,
    /// By their value.
    Set,
    /// By these fields.
    Map(Vec<String>),
}

/// What members an object may have besides those named.
#[derive(Clone, Debug)]
pub(crate) enum Additional {
    /// The schema does not say.
    Unsaid,
    /// Any.
    Any,
    /// Values of one schema.
    Schema(Box<Node>),
}

/// A pattern with its text for the message.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    pub source: String,
    pub regex: Regex,
}

/// One schema.
#[derive(Clone, Debug)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "the members of a schema are what they are"
)]
pub(crate) struct Node {
    pub ty: Type,
    /// `type` as written, for messages of rules.
    pub type_name: String,
    pub format: Option<Format>,
    pub nullable: bool,
    pub preserve_unknown: bool,
    pub embedded: bool,
    pub default: Option<Value>,
    pub properties: BTreeMap<String, Node>,
    pub additional: Additional,
    pub items: Option<Box<Node>>,
    pub list: ListType,
    /// Whether a default stands anywhere in this schema.
    pub has_defaults: bool,
    /// Whether a list of unique items or an embedded resource stands anywhere in it.
    pub has_lists: bool,
    pub has_embedded: bool,
    /// Whether a rule stands anywhere in it.
    pub has_rules: bool,
    pub maximum: Option<f64>,
    pub exclusive_maximum: bool,
    pub minimum: Option<f64>,
    pub exclusive_minimum: bool,
    pub multiple_of: Option<f64>,
    pub max_length: Option<i64>,
    pub min_length: Option<i64>,
    pub pattern: Option<Pattern>,
    pub max_items: Option<i64>,
    pub min_items: Option<i64>,
    pub max_properties: Option<i64>,
    pub min_properties: Option<i64>,
    pub values: Vec<Value>,
    pub required: Vec<String>,
    pub all_of: Vec<Node>,
    pub any_of: Vec<Node>,
    pub one_of: Vec<Node>,
    pub not: Option<Box<Node>>,
    pub rules: Vec<Rule>,
}

impl Node {
    /// Compiles a schema whose structure was checked.
    pub(crate) fn compile(props: &Props) -> Self {
        let properties: BTreeMap<String, Node> = props
            .properties
            .iter()
            .map(|(name, sub)| (name.clone(), Self::compile(sub)))
            .collect();
        let items = props.items().map(|items| Box::new(Self::compile(items)));
        let additional = match &props.additional_properties {
            None | Some(AdditionalProps::Allowed(false)) => Additional::Unsaid,
            Some(AdditionalProps::Allowed(true)) => Additional::Any,
            Some(AdditionalProps::Schema(sub)) => Additional::Schema(Box::new(Self::compile(sub))),
        };
        let ty = Type::of(props);
        let mut node = Self {
            ty,
            type_name: props.ty.clone(),
            format: Format::of(ty, &props.format),
            nullable: props.nullable,
            preserve_unknown: props.preserves(),
            embedded: props.embedded,
            default: props.default.clone(),
            properties,
            additional,
            items,
            list: match props.list_type.as_deref() {
                Some("set") => ListType::Set,
                Some("map") => ListType::Map(props.list_map_keys.clone()),
                _ => ListType::Atomic,
            },
            has_defaults: false,
            has_lists: false,
            has_embedded: false,
            has_rules: false,
            maximum: props.maximum,
            exclusive_maximum: props.exclusive_maximum,
            minimum: props.minimum,
            exclusive_minimum: props.exclusive_minimum,
            multiple_of: props.multiple_of,
            max_length: props.max_length,
            min_length: props.min_length,
            pattern: pattern(&props.pattern),
            max_items: props.max_items,
            min_items: props.min_items,
            max_properties: props.max_properties,
            min_properties: props.min_properties,
            values: props.one_of_values.clone(),
            required: props.required.clone(),
            all_of: props.all_of.iter().map(Self::compile).collect(),
            any_of: props.any_of.iter().map(Self::compile).collect(),
            one_of: props.one_of.iter().map(Self::compile).collect(),
            not: props.not.as_deref().map(|not| Box::new(Self::compile(not))),
            rules: Vec::new(),
        };
        node.has_defaults = node.default.is_some() || node.children().any(|child| child.has_defaults);
        node.has_lists = node.list != ListType::Atomic || node.children().any(|child| child.has_lists);
        node.rules = props.rules.iter().filter_map(|rule| node.rule(rule)).collect();
        node.has_rules = !node.rules.is_empty() || node.children().any(|child| child.has_rules);
        node.has_embedded = node.embedded || node.children().any(|child| child.has_embedded);
        node
    }

    /// A schema that says no more than the type.
    pub(crate) fn of_type(ty: Type) -> Self {
        Self::compile(&Props {
            ty: ty.name().to_owned(),
            ..Props::default()
        })
    }

    /// A rule of this schema; those that do not compile were refused before.
    fn rule(&self, props: &RuleProps) -> Option<Rule> {
        let field = rules::field_path(&props.field_path, self)?;
        Rule::compile(props, &field).ok()
    }

    /// The schemas of the parts of a value.
    pub(crate) fn children(&self) -> impl Iterator<Item = &Node> {
        let additional = match &self.additional {
            Additional::Schema(sub) => Some(sub.as_ref()),
            _ => None,
        };
        self.properties
            .values()
            .chain(additional)
            .chain(self.items.as_deref())
    }

    /// The schema of the members that are not named.
    pub(crate) fn additional(&self) -> Option<&Node> {
        match &self.additional {
            Additional::Schema(sub) => Some(sub),
            _ => None,
        }
    }

    /// The schema of one member.
    pub(crate) fn member(&self, name: &str) -> Option<&Node> {
        self.properties.get(name).or_else(|| self.additional())
    }
}

fn pattern(source: &str) -> Option<Pattern> {
    if source.is_empty() {
        return None;
    }
    let regex = re::compile(source).ok()?;
    Some(Pattern {
        source: source.to_owned(),
        regex,
    })
}

//! Constraint operators and target resolution (Nomad `checkConstraint`, `resolveTarget`).

use std::cell::RefCell;
use std::rc::Rc;

use crate::model::constraint::Constraint;
use crate::model::node::{NodeId, NodeSpec};
use crate::protocol::scheduler::classes::escapes;
use crate::protocol::scheduler::re2::Pattern;
use crate::protocol::scheduler::versions::{Rules, VersionList};

/// A target of a constraint, read once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// A text that is meant as it is.
    Literal(&'a str),
    /// `${node.unique.id}`.
    NodeId,
    /// `${node.unique.name}`.
    NodeName,
    /// `${node.datacenter}`.
    Datacenter,
    /// `${node.class}`.
    Class,
    /// `${attr.KEY}`.
    Attribute(&'a str),
    /// `${meta.KEY}`.
    Meta(&'a str),
    /// Any other `${…`.
    Unknown,
}

impl<'a> Target<'a> {
    /// Reads a target. A missing closing brace is forgiven.
    pub fn parse(text: &'a str) -> Self {
        if !text.starts_with("${") {
            return Self::Literal(text);
        }
        let key = |prefix: &str| text.strip_prefix(prefix).map(|rest| rest.strip_suffix('}').unwrap_or(rest));
        match text {
            "${node.unique.id}" => Self::NodeId,
            "${node.unique.name}" => Self::NodeName,
            "${node.datacenter}" => Self::Datacenter,
            "${node.class}" => Self::Class,
            _ => match (key("${attr."), key("${meta.")) {
                (Some(key), _) => Self::Attribute(key),
                (None, Some(key)) => Self::Meta(key),
                (None, None) => Self::Unknown,
            },
        }
    }

    /// Looks the target up on a node. `id_text` is a buffer for the node's identifier.
    pub fn resolve(self, id: NodeId, spec: &'a NodeSpec, id_text: &'a mut String) -> Resolved<'a> {
        let key = |value: Option<&'a String>| match value {
            Some(value) => Resolved { text: Some(value), found: true },
            None => Resolved { text: Some(""), found: false },
        };
        let found = |text| Resolved { text: Some(text), found: true };
        match self {
            Self::Literal(text) => found(text),
            Self::NodeId => {
                *id_text = id.to_string();
                found(id_text)
            }
            Self::NodeName => found(&spec.name),
            Self::Datacenter => found(&spec.datacenter),
            Self::Class => found(&spec.class),
            Self::Attribute(name) => key(spec.attributes.get(name)),
            Self::Meta(name) => key(spec.meta.get(name)),
            Self::Unknown => Resolved { text: None, found: false },
        }
    }
}

/// What a target came to on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolved<'a> {
    /// The text; `None` for an unknown target, empty for a missing key.
    pub text: Option<&'a str>,
    /// Whether the node has it.
    pub found: bool,
}

/// An operator, read once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are Nomad's operator texts")]
pub enum Operator {
    Equal,
    NotEqual,
    Less,
    AtMost,
    Greater,
    AtLeast,
    Regexp,
    Version,
    Semver,
    SetContainsAll,
    SetContainsAny,
    IsSet,
    IsNotSet,
    DistinctHosts,
    DistinctProperty,
    /// Any other text: never satisfied.
    Unknown,
}

impl Operator {
    /// Reads an operator.
    pub fn parse(text: &str) -> Self {
        match text {
            "=" | "==" | "is" => Self::Equal,
            "!=" | "not" => Self::NotEqual,
            "<" => Self::Less,
            "<=" => Self::AtMost,
            ">" => Self::Greater,
            ">=" => Self::AtLeast,
            "regexp" => Self::Regexp,
            "version" => Self::Version,
            "semver" => Self::Semver,
            "set_contains" | "set_contains_all" => Self::SetContainsAll,
            "set_contains_any" => Self::SetContainsAny,
            "is_set" => Self::IsSet,
            "is_not_set" => Self::IsNotSet,
            "distinct_hosts" => Self::DistinctHosts,
            "distinct_property" => Self::DistinctProperty,
            _ => Self::Unknown,
        }
    }

    /// Whether it holds between two resolved targets. The distinct operators hold here; they are looked at elsewhere.
    pub fn holds(self, left: Resolved<'_>, right: Resolved<'_>, memo: &Memo) -> bool {
        let both = || if left.found && right.found { left.text.zip(right.text) } else { None };
        match self {
            Self::Equal => both().is_some_and(|(l, r)| l == r),
            Self::NotEqual => left.text != right.text,
            Self::Less => both().is_some_and(|(l, r)| l < r),
            Self::AtMost => both().is_some_and(|(l, r)| l <= r),
            Self::Greater => both().is_some_and(|(l, r)| l > r),
            Self::AtLeast => both().is_some_and(|(l, r)| l >= r),
            Self::Regexp => both().is_some_and(|(l, r)| memo.pattern(r).matches(l)),
            Self::Version => both().is_some_and(|(l, r)| memo.versions(r, Rules::Version).admits(l)),
            Self::Semver => both().is_some_and(|(l, r)| memo.versions(r, Rules::Semver).admits(l)),
            Self::SetContainsAll => both().is_some_and(|(l, r)| items(r).all(|item| items(l).any(|own| own == item))),
            Self::SetContainsAny => both().is_some_and(|(l, r)| items(r).any(|item| items(l).any(|own| own == item))),
            Self::IsSet => left.found,
            Self::IsNotSet => !left.found,
            Self::DistinctHosts | Self::DistinctProperty => true,
            Self::Unknown => false,
        }
    }
}

fn items(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim)
}

/// The pattern or list of versions that a rule read last. Most rules hold all nodes against the same one (Nomad caches
/// them for an evaluation, all of them).
#[derive(Debug, Clone, Default)]
pub struct Memo {
    pattern: RefCell<Option<(String, Rc<Pattern>)>>,
    version: RefCell<Option<(String, Rc<VersionList>)>>,
    semver: RefCell<Option<(String, Rc<VersionList>)>>,
}

impl Memo {
    fn pattern(&self, text: &str) -> Rc<Pattern> {
        recall(&self.pattern, text, Pattern::read)
    }

    fn versions(&self, text: &str, rules: Rules) -> Rc<VersionList> {
        let last = match rules {
            Rules::Version => &self.version,
            Rules::Semver => &self.semver,
        };
        recall(last, text, |text| VersionList::read(text, rules))
    }
}

fn recall<T>(last: &RefCell<Option<(String, Rc<T>)>>, text: &str, read: impl FnOnce(&str) -> T) -> Rc<T> {
    let mut last = last.borrow_mut();
    match &*last {
        Some((known, it)) if known == text => Rc::clone(it),
        _ => {
            let it = Rc::new(read(text));
            *last = Some((text.to_owned(), Rc::clone(&it)));
            it
        }
    }
}

/// A constraint or affinity, read once.
#[derive(Debug, Clone)]
pub struct Rule<'a> {
    /// Left target.
    pub left: Target<'a>,
    /// Operator.
    pub operator: Operator,
    /// Right target.
    pub right: Target<'a>,
    /// The answer may differ between nodes of one class.
    pub escapes: bool,
    memo: Memo,
}

impl<'a> Rule<'a> {
    /// Reads the three texts of a constraint or affinity.
    pub fn parse(left: &'a str, operator: &str, right: &'a str) -> Self {
        Self {
            left: Target::parse(left),
            operator: Operator::parse(operator),
            right: Target::parse(right),
            escapes: escapes(left) || escapes(right),
            memo: Memo::default(),
        }
    }

    /// Reads a constraint.
    pub fn of(constraint: &'a Constraint) -> Self {
        Self::parse(&constraint.left, &constraint.operator, &constraint.right)
    }

    /// Whether it holds on a node.
    pub fn holds(&self, id: NodeId, spec: &NodeSpec) -> bool {
        let (mut left, mut right) = (String::new(), String::new());
        let (left, right) = (self.left.resolve(id, spec, &mut left), self.right.resolve(id, spec, &mut right));
        self.operator.holds(left, right, &self.memo)
    }
}

/// Shell-like matching with `*` only, as of datacenters' names.
pub fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_or_a_list_of_versions_is_read_again_only_when_it_is_another_one() {
        let memo = Memo::default();
        let found = |text| Resolved { text: Some(text), found: true };
        for (operator, left, right, expected) in [
            (Operator::Regexp, "web-1", "^web", true),
            (Operator::Regexp, "db-1", "^web", false),
            (Operator::Regexp, "db-1", "^db", true),
            (Operator::Regexp, "db-1", "(", false),
            (Operator::Version, "1.9", "~> 1.2", true),
            (Operator::Version, "2.0", "~> 1.2", false),
            (Operator::Version, "2.0", "~> 2.0", true),
            (Operator::Semver, "2.0", "~> 2.0", false),
        ] {
            assert_eq!(operator.holds(found(left), found(right), &memo), expected, "{left} {operator:?} {right}");
        }
        let pattern = memo.pattern("^web");
        assert!(Rc::ptr_eq(&pattern, &memo.pattern("^web")));
        assert!(!Rc::ptr_eq(&pattern, &memo.pattern("^db")));
        let versions = memo.versions("> 1", Rules::Semver);
        assert!(Rc::ptr_eq(&versions, &memo.versions("> 1", Rules::Semver)));
    }
}

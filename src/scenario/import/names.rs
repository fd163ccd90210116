//! Which names a block of a job file may hold, and whether each is an attribute or a block.

use std::ops::Range;

use super::policy::{GIVE_VALUE, LEFT_OUT, Reader};
use super::tree::Attribute;
use super::tree::Body;
use super::tree::Kind;
use crate::scenario::suggest;

/// Names that a block may hold. What is not among them is left out with a warning.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Names<'a> {
    /// `name = …`
    pub(super) attributes: &'a [&'a str],
    /// `name { … }`; also `name = { … }`, or a list of these (HCL1).
    pub(super) blocks: &'a [&'a str],
    /// The same, of which only the text counts: what they hold need not be known, so that any expression does, and
    /// `null` is as if they were left out.
    pub(super) texts: &'a [&'a str],
    /// Left out though it matters, and what to do about it.
    pub(super) matters: &'a [(&'a str, &'a str)],
}

impl<'a> Names<'a> {
    /// Names of attributes alone.
    pub(super) fn attributes(attributes: &'a [&'a str]) -> Self {
        Self { attributes, ..Self::default() }
    }

    fn all(&self) -> impl Iterator<Item = &'a str> {
        self.attributes.iter().chain(self.blocks).chain(self.texts).copied()
    }
}

impl Reader {
    /// Warns of everything in a block that has no meaning here, and refuses attributes where Nomad wants blocks, and
    /// blocks where it wants attributes.
    pub(super) fn known(&mut self, body: &Body, holder: &str, names: &Names<'_>) {
        for attribute in &body.attributes {
            let word = attribute.key.as_str();
            if names.blocks.contains(&word) || names.texts.contains(&word) {
                self.as_block(attribute, holder, names);
            } else if !names.attributes.contains(&word) {
                self.left_out(&attribute.span, word, holder, names);
            }
        }
        for block in &body.blocks {
            let word = block.name.as_str();
            if names.attributes.contains(&word) {
                let message = format!("`{word}` in this {holder} is written as a block");
                let hint = format!("`{word}` is an attribute: write `{word} = …`");
                self.error("E010", block.span.clone(), message, hint);
            } else if !names.all().any(|name| name == word) {
                self.left_out(&block.span, word, holder, names);
            }
        }
    }

    /// An attribute that counts as a block has to hold what one would.
    fn as_block(&mut self, attribute: &Attribute, holder: &str, names: &Names<'_>) {
        let word = attribute.key.as_str();
        let is_object = |kind: &Kind| matches!(kind, Kind::Object(_));
        let label = if LABELLED.contains(&word) { " \"name\"" } else { "" };
        let (message, hint) = match &attribute.value.kind {
            Kind::Object(_) => return,
            Kind::List(items) if items.iter().all(|item| is_object(&item.kind)) => return,
            Kind::Unknown(_) | Kind::Null if names.texts.contains(&word) => return,
            Kind::Unknown(raw) => (
                format!("`{raw}` cannot be evaluated, and `{word}` in this {holder} needs a block"),
                GIVE_VALUE.to_owned(),
            ),
            _ => (
                format!("`{word}` in this {holder} is written as an attribute"),
                format!("`{word}` is a block: write `{word}{label} {{ … }}`"),
            ),
        };
        self.error("E010", attribute.span.clone(), message, hint);
    }

    fn left_out(&mut self, span: &Range<usize>, word: &str, holder: &str, names: &Names<'_>) {
        let why = names.matters.iter().find(|(known, _)| *known == word).map(|(_, why)| (*why).to_owned());
        let near = suggest::closest(word, names.all()).map(|near| format!("did you mean `{near}`?"));
        let message = format!("`{word}` in this {holder} is left out");
        self.warn(span.clone(), message, &why.or(near).unwrap_or_else(|| LEFT_OUT.to_owned()));
    }
}

/// Blocks that are called something.
const LABELLED: &[&str] = &["action", "device", "group", "job", "port", "task", "variable", "volume"];

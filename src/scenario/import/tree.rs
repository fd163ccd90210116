//! A job file as a tree of blocks and evaluated values, each with its place.
//!
//! Expressions over variables, locals and a few functions are evaluated; what only a client can know at run time
//! (`${NOMAD_DC}`, `${attr.kernel.name}`) stays as written. What the file should say itself and cannot be evaluated is
//! unknown, also within a text.

use std::ops::Range;

use super::arithmetic;
use crate::base::ordered::OrdMap;

use hcl::edit::Span;
use hcl::edit::expr;
use hcl::edit::structure;
use hcl::edit::template::Element;
use hcl::edit::visit;
use hcl::edit::visit::Visit;
use hcl::eval::Context;
use hcl::eval::Evaluate;
use hcl::eval::FuncArgs;
use hcl::eval::FuncDef;
use hcl::eval::ParamType;

/// What stands between braces.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Body {
    pub(super) attributes: Vec<Attribute>,
    pub(super) blocks: Vec<Block>,
}

/// `key = value`
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Attribute {
    pub(super) key: String,
    pub(super) span: Range<usize>,
    pub(super) value: Value,
}

/// `name "label" { … }`
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Block {
    pub(super) name: String,
    pub(super) span: Range<usize>,
    pub(super) labels: Vec<(String, Range<usize>)>,
    pub(super) body: Body,
}

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Value {
    pub(super) span: Range<usize>,
    pub(super) kind: Kind,
}

/// Kinds of values.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Value>),
    Object(Vec<(String, Range<usize>, Value)>),
    /// An expression that could not be evaluated, as written.
    Unknown(String),
}

impl Body {
    pub(super) fn attribute(&self, key: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| attribute.key == key)
    }

    /// Blocks of this name; an attribute that holds an object, or a list of them, counts as blocks (HCL1).
    pub(super) fn blocks(&self, name: &str) -> Vec<Block> {
        let mut out: Vec<Block> = self.blocks.iter().filter(|block| block.name == name).cloned().collect();
        for attribute in self.attributes.iter().filter(|attribute| attribute.key == name) {
            let values = match &attribute.value.kind {
                Kind::List(items) => items.clone(),
                _ => vec![attribute.value.clone()],
            };
            for value in values {
                if let Kind::Object(entries) = value.kind {
                    let (name, span) = (attribute.key.clone(), attribute.span.clone());
                    out.push(Block { name, span, labels: Vec::new(), body: Self::from_object(entries) });
                }
            }
        }
        out
    }

    fn from_object(entries: Vec<(String, Range<usize>, Value)>) -> Self {
        let attribute = |(key, span, value): (String, Range<usize>, Value)| Attribute { key, span, value };
        Self { attributes: entries.into_iter().map(attribute).collect(), blocks: Vec::new() }
    }

    /// The same content in the same text, however it was laid out: attributes by name, then blocks in order.
    pub(super) fn canonical(&self, out: &mut String) {
        let mut attributes: Vec<&Attribute> = self.attributes.iter().collect();
        attributes.sort_by(|a, b| a.key.cmp(&b.key));
        for attribute in attributes {
            out.push_str(&attribute.key);
            out.push('=');
            attribute.value.canonical(out);
            out.push(';');
        }
        for block in &self.blocks {
            block.canonical(out);
        }
    }
}

impl Block {
    /// See [`Body::canonical`].
    pub(super) fn canonical(&self, out: &mut String) {
        out.push_str(&self.name);
        for (label, _) in &self.labels {
            out.push(' ');
            out.push_str(label);
        }
        out.push('{');
        self.body.canonical(out);
        out.push('}');
    }
}

impl Value {
    /// As text, if it is a text, a number or a truth value.
    pub(super) fn text(&self) -> Option<String> {
        match &self.kind {
            Kind::Text(text) => Some(text.clone()),
            Kind::Number(number) => Some(format!("{number}")),
            Kind::Bool(truth) => Some(truth.to_string()),
            Kind::Null | Kind::List(_) | Kind::Object(_) | Kind::Unknown(_) => None,
        }
    }

    fn canonical(&self, out: &mut String) {
        match &self.kind {
            Kind::Null => out.push_str("null"),
            Kind::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
            Kind::Number(number) => out.push_str(&number.to_string()),
            Kind::Text(text) => {
                out.push('"');
                out.extend(text.escape_debug());
                out.push('"');
            }
            Kind::List(items) => {
                out.push('[');
                for item in items {
                    item.canonical(out);
                    out.push(',');
                }
                out.push(']');
            }
            Kind::Object(entries) => {
                out.push('{');
                let mut entries: Vec<_> = entries.iter().collect();
                entries.sort_by(|a, b| a.0.cmp(&b.0));
                for (key, _, value) in entries {
                    out.push_str(key);
                    out.push('=');
                    value.canonical(out);
                    out.push(';');
                }
                out.push('}');
            }
            Kind::Unknown(raw) => out.push_str(raw),
        }
    }
}

/// Something wrong with a block that is not in the tree for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mistake {
    pub(super) span: Range<usize>,
    pub(super) message: String,
    pub(super) hint: String,
}

/// Builds trees of one file.
pub(super) struct Builder<'a> {
    /// The text as written.
    pub(super) text: &'a str,
    /// Attribute names that were not identifiers, by offset.
    pub(super) names: &'a OrdMap<usize, String>,
    /// Variables: `var`, `local`, iterators of `dynamic` blocks.
    pub(super) variables: OrdMap<String, hcl::Value>,
    /// Blocks that `dynamic` may still make.
    pub(super) blocks_left: usize,
    /// What is wrong with `dynamic` blocks.
    pub(super) mistakes: Vec<Mistake>,
}

impl Builder<'_> {
    pub(super) fn body(&mut self, body: &structure::Body) -> Body {
        let mut out = Body::default();
        for item in body {
            match item {
                structure::Structure::Attribute(attribute) => {
                    let span = attribute.key.span().unwrap_or_default();
                    let key = self.names.get(&span.start).cloned().unwrap_or_else(|| attribute.key.to_string());
                    let value = self.value(&attribute.value);
                    out.attributes.push(Attribute { key: key.trim().to_owned(), span, value });
                }
                structure::Structure::Block(block) if block.ident.as_str() == "dynamic" => {
                    self.dynamic(block, &mut out.blocks);
                }
                structure::Structure::Block(block) => {
                    let labels =
                        block.labels.iter().map(|label| (label.as_str().to_owned(), label.span().unwrap_or_default()));
                    out.blocks.push(Block {
                        name: block.ident.as_str().to_owned(),
                        span: block.ident.span().unwrap_or_default(),
                        labels: labels.collect(),
                        body: self.body(&block.body),
                    });
                }
            }
        }
        out
    }

    /// `dynamic "name" { for_each = …, content { … } }`, expanded.
    fn dynamic(&mut self, block: &structure::Block, out: &mut Vec<Block>) {
        let place = block.ident.span().unwrap_or_default();
        let Some(name) = block.labels.first().map(|label| label.as_str().to_owned()) else {
            self.mistake(
                place,
                "a `dynamic` block is called after the blocks it makes",
                "write `dynamic \"task\" { … }`",
            );
            return;
        };
        let Some(items) = self.items(block, &name) else { return };
        let iterator = block
            .body
            .get_attribute("iterator")
            .map_or_else(|| name.clone(), |it| it.value.to_string().trim().to_owned());
        let Some(content) = block.body.get_blocks("content").next() else {
            self.mistake(place, "a `dynamic` block needs `content`", "add `content { … }` with what is in each block");
            return;
        };
        for (key, value) in items {
            let Some(left) = self.blocks_left.checked_sub(1) else {
                self.mistake(place, "`dynamic` blocks make more blocks than cossim reads", "let them make fewer");
                return;
            };
            self.blocks_left = left;
            let item: hcl::Map<String, hcl::Value> =
                [("key".to_owned(), key), ("value".to_owned(), value)].into_iter().collect();
            let hidden = self.variables.insert(iterator.clone(), hcl::Value::Object(item));
            let label = block.body.get_attribute("labels").map(|labels| self.value(&labels.value));
            let labels = match label.map(|label| (label.span.clone(), label.kind)) {
                Some((span, Kind::List(items))) if items.iter().all(|item| item.text().is_some()) => {
                    items.iter().filter_map(Value::text).map(|label| (label, span.clone())).collect()
                }
                Some((span, _)) => {
                    let message = format!("`{}` cannot be evaluated as a list of labels", self.raw(&span));
                    self.mistake(span, &message, "write it as `labels = [\"name\"]`");
                    Vec::new()
                }
                None => Vec::new(),
            };
            let body = self.body(&content.body);
            out.push(Block { name: name.clone(), span: place.clone(), labels, body });
            match hidden {
                Some(hidden) => self.variables.insert(iterator.clone(), hidden),
                None => self.variables.remove(&iterator),
            };
        }
    }

    /// Keys and values of what a `dynamic` block repeats; `None` if that cannot be told.
    fn items(&mut self, block: &structure::Block, name: &str) -> Option<Vec<(hcl::Value, hcl::Value)>> {
        let hint = format!("write the list itself, as `for_each = [\"a\", \"b\"]`, or each `{name}` block");
        let Some(each) = block.body.get_attribute("for_each") else {
            self.mistake(block.ident.span().unwrap_or_default(), "a `dynamic` block needs `for_each`", &hint);
            return None;
        };
        let reason = match self.evaluate(&each.value) {
            Some(hcl::Value::Array(items)) => {
                return Some(items.into_iter().enumerate().map(|(at, item)| (hcl::Value::from(at), item)).collect());
            }
            Some(hcl::Value::Object(entries)) => {
                return Some(entries.into_iter().map(|(key, value)| (hcl::Value::from(key), value)).collect());
            }
            Some(_) => "is none",
            None => "cannot be evaluated",
        };
        let span = each.value.span().unwrap_or_default();
        let message = format!("`for_each` needs a list or a map, and `{}` {reason}", self.raw(&span));
        self.mistake(span, &message, &hint);
        None
    }

    fn mistake(&mut self, span: Range<usize>, message: &str, hint: &str) {
        let mistake = Mistake { span, message: message.to_owned(), hint: hint.to_owned() };
        // What is within another `dynamic` block is built several times.
        if !self.mistakes.contains(&mistake) {
            self.mistakes.push(mistake);
        }
    }

    pub(super) fn value(&mut self, written: &expr::Expression) -> Value {
        let span = written.span().unwrap_or_default();
        let kind = match written {
            expr::Expression::Null(_) => Kind::Null,
            expr::Expression::Bool(truth) => Kind::Bool(*truth.value()),
            expr::Expression::Number(number) => number.value().as_f64().map_or(Kind::Null, Kind::Number),
            expr::Expression::String(text) => Kind::Text(text.value().clone()),
            expr::Expression::Array(items) => Kind::List(items.iter().map(|item| self.value(item)).collect()),
            expr::Expression::Object(entries) => Kind::Object(self.entries(entries)),
            expr::Expression::StringTemplate(template) => {
                let text = template.iter().map(|element| self.element(element)).collect();
                self.text_or(text, written, &span)
            }
            expr::Expression::HeredocTemplate(template) => {
                let text = template.template.iter().map(|element| self.element(element)).collect();
                self.text_or(text, written, &span)
            }
            expr::Expression::Parenthesis(inner) => self.value(inner.inner()).kind,
            expr::Expression::Variable(_)
            | expr::Expression::Conditional(_)
            | expr::Expression::FuncCall(_)
            | expr::Expression::Traversal(_)
            | expr::Expression::UnaryOp(_)
            | expr::Expression::BinaryOp(_)
            | expr::Expression::ForExpr(_) => match self.evaluate(written) {
                Some(value) => from_hcl(&value, &span),
                None => Kind::Unknown(self.raw(&span)),
            },
        };
        Value { span, kind }
    }

    fn entries(&mut self, object: &expr::Object) -> Vec<(String, Range<usize>, Value)> {
        let mut out = Vec::new();
        for (key, value) in object {
            let (name, span) = match key {
                expr::ObjectKey::Ident(name) => (name.as_str().to_owned(), name.span().unwrap_or_default()),
                expr::ObjectKey::Expression(key) => {
                    let key = self.value(key);
                    (key.text().unwrap_or_else(|| self.raw(&key.span)), key.span)
                }
            };
            let value = self.value(value.expr());
            out.push((name, span, value));
        }
        out
    }

    /// The text its parts make; where one of them is unknown, what the whole is, as `"${var.names}"` is a list.
    fn text_or(&mut self, text: Option<String>, written: &expr::Expression, span: &Range<usize>) -> Kind {
        match text {
            Some(text) => Kind::Text(text),
            None => match self.evaluate(written) {
                Some(whole) => from_hcl(&whole, span),
                None => Kind::Unknown(self.raw(span)),
            },
        }
    }

    /// One part of a text with interpolations; `None` if the file should say it and it is no text.
    fn element(&mut self, element: &Element) -> Option<String> {
        match element {
            Element::Literal(text) => Some(text.value().clone()),
            Element::Interpolation(part) => match self.evaluate(&part.expr) {
                Some(value) => Value { span: 0..0, kind: from_hcl(&value, &(0..0)) }.text(),
                None if self.is_of_file(&part.expr) || part.span().is_some_and(|span| self.is_told(&span)) => None,
                None => Some(element.span().map_or_else(String::new, |span| self.raw(&span))),
            },
            Element::Directive(_) => None,
        }
    }

    /// Whether an expression is a matter of the file: it names a variable of the file or calls a function. All else is
    /// for the client to know.
    fn is_of_file(&self, written: &expr::Expression) -> bool {
        let mut search = OfFile { variables: &self.variables, found: false };
        search.visit_expr(written);
        search.found
    }

    fn raw(&self, span: &Range<usize>) -> String {
        self.text.get(span.clone()).unwrap_or("").to_owned()
    }

    /// The value of an expression, if it has one. Why arithmetic in it has no result is said.
    pub(super) fn evaluate(&mut self, written: &expr::Expression) -> Option<hcl::Value> {
        let error = match self.attempt(written) {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        let (reason, hint) = arithmetic::reason(&error)?;
        let span = written.span().unwrap_or_default();
        // Of a text, the part was shown.
        if !self.is_told(&span) {
            self.mistake(span.clone(), &format!("`{}` cannot be evaluated: {reason}", self.raw(&span)), hint);
        }
        None
    }

    /// Whether a mistake within was found already.
    fn is_told(&self, span: &Range<usize>) -> bool {
        self.mistakes.iter().any(|known| span.start <= known.span.start && known.span.end <= span.end)
    }

    /// The value of an expression, or why it has none.
    pub(super) fn attempt(&self, written: &expr::Expression) -> hcl::eval::EvalResult<hcl::Value> {
        let expression = hcl::Expression::from(arithmetic::checked(written));
        let mut context = Context::new();
        for (name, value) in &self.variables {
            context.declare_var(name.as_str(), value.clone());
        }
        for (name, function) in functions().into_iter().chain(arithmetic::functions()) {
            context.declare_func(name, function);
        }
        expression.evaluate(&context)
    }
}

/// Looks for what only the file can say.
struct OfFile<'a> {
    variables: &'a OrdMap<String, hcl::Value>,
    found: bool,
}

impl Visit for OfFile<'_> {
    fn visit_expr(&mut self, written: &expr::Expression) {
        self.found |= match written {
            expr::Expression::Variable(name) => {
                matches!(name.as_str(), "var" | "local") || self.variables.contains_key(name.as_str())
            }
            expr::Expression::FuncCall(_) => true,
            _ => false,
        };
        visit::visit_expr(self, written);
    }
}

fn from_hcl(value: &hcl::Value, span: &Range<usize>) -> Kind {
    let wrap = |value: &hcl::Value| Value { span: span.clone(), kind: from_hcl(value, span) };
    match value {
        hcl::Value::Null => Kind::Null,
        hcl::Value::Bool(truth) => Kind::Bool(*truth),
        hcl::Value::Number(number) => number.as_f64().map_or(Kind::Null, Kind::Number),
        hcl::Value::String(text) => Kind::Text(text.clone()),
        hcl::Value::Array(items) => Kind::List(items.iter().map(wrap).collect()),
        hcl::Value::Object(entries) => {
            Kind::Object(entries.iter().map(|(key, value)| (key.clone(), span.clone(), wrap(value))).collect())
        }
    }
}

/// The functions job files use outside templates. Reading files and making identifiers is not among them.
fn functions() -> Vec<(&'static str, FuncDef)> {
    let any = || ParamType::Any;
    let variadic = |function: hcl::eval::Func| FuncDef::builder().variadic_param(any()).build(function);
    vec![
        ("min", variadic(|args| extreme(args, |a, b| a < b))),
        ("max", variadic(|args| extreme(args, |a, b| a > b))),
        ("concat", variadic(concat)),
        ("merge", variadic(merge)),
        ("length", FuncDef::new(length, [any()])),
        ("range", variadic(range)),
        ("keys", FuncDef::new(|args| entries(args, |(key, _)| key.into()), [any()])),
        ("values", FuncDef::new(|args| entries(args, |(_, value)| value), [any()])),
        ("flatten", FuncDef::new(flatten, [any()])),
        ("lower", FuncDef::new(|args| Ok(text(&args, 0)?.to_lowercase().into()), [any()])),
        ("upper", FuncDef::new(|args| Ok(text(&args, 0)?.to_uppercase().into()), [any()])),
        ("tostring", FuncDef::new(|args| Ok(text(&args, 0)?.into()), [any()])),
        ("tonumber", FuncDef::new(to_number, [any()])),
        ("split", FuncDef::new(split, [any(), any()])),
        ("join", FuncDef::new(join, [any(), any()])),
    ]
}

fn extreme(args: FuncArgs, better: fn(f64, f64) -> bool) -> Result<hcl::Value, String> {
    let mut best: Option<(f64, hcl::Value)> = None;
    for value in args.into_values() {
        let number = value.as_number().and_then(hcl::Number::as_f64).ok_or("a number is expected")?;
        if best.as_ref().is_none_or(|(known, _)| better(number, *known)) {
            best = Some((number, value));
        }
    }
    best.map(|(_, value)| value).ok_or_else(|| "at least one number is expected".to_owned())
}

fn concat(args: FuncArgs) -> Result<hcl::Value, String> {
    let mut out = Vec::new();
    for value in args.into_values() {
        match value {
            hcl::Value::Array(items) => out.extend(items),
            _ => return Err("a list is expected".to_owned()),
        }
    }
    Ok(hcl::Value::Array(out))
}

fn merge(args: FuncArgs) -> Result<hcl::Value, String> {
    let mut out = hcl::Map::new();
    for value in args.into_values() {
        match value {
            hcl::Value::Object(entries) => out.extend(entries),
            _ => return Err("an object is expected".to_owned()),
        }
    }
    Ok(hcl::Value::Object(out))
}

/// `range(end)`, `range(start, end)` or `range(start, end, step)`.
fn range(args: FuncArgs) -> Result<hcl::Value, String> {
    let number = |value: hcl::Value| value.as_number().and_then(hcl::Number::as_f64).ok_or("a number is expected");
    let numbers = args.into_values().into_iter().map(number).collect::<Result<Vec<f64>, _>>()?;
    let (start, end, step) = match numbers[..] {
        [end] => (0.0, end, if end < 0.0 { -1.0 } else { 1.0 }),
        [start, end] => (start, end, if end < start { -1.0 } else { 1.0 }),
        [start, end, step] => (start, end, step),
        _ => return Err("one to three numbers are expected".to_owned()),
    };
    if !step.is_normal() || (end - start) * step < 0.0 {
        return Err("the step does not lead to the end".to_owned());
    }
    let is_before_end = |at: f64| if step > 0.0 { at < end } else { at > end };
    let mut out = Vec::new();
    while is_before_end(start + out.len() as f64 * step) {
        if out.len() == RANGE_MAX {
            return Err(format!("a range has at most {RANGE_MAX} values"));
        }
        out.extend(hcl::Number::from_f64(start + out.len() as f64 * step).map(hcl::Value::Number));
    }
    Ok(hcl::Value::Array(out))
}

/// Values of one range; Nomad's functions make no more either.
const RANGE_MAX: usize = 1_024;

/// Something of each entry of an object, in the order of the keys.
fn entries(args: FuncArgs, of: fn((String, hcl::Value)) -> hcl::Value) -> Result<hcl::Value, String> {
    match args.into_values().into_iter().next() {
        Some(hcl::Value::Object(entries)) => {
            let sorted: OrdMap<String, hcl::Value> = entries.into_iter().collect();
            Ok(hcl::Value::Array(sorted.into_iter().map(of).collect()))
        }
        Some(_) | None => Err("an object is expected".to_owned()),
    }
}

/// The items of a list, those of lists in it in their place.
fn flatten(args: FuncArgs) -> Result<hcl::Value, String> {
    fn flat(value: hcl::Value, out: &mut Vec<hcl::Value>) {
        match value {
            hcl::Value::Array(items) => items.into_iter().for_each(|item| flat(item, out)),
            other => out.push(other),
        }
    }
    match args.into_values().into_iter().next() {
        Some(list @ hcl::Value::Array(_)) => {
            let mut out = Vec::new();
            flat(list, &mut out);
            Ok(hcl::Value::Array(out))
        }
        Some(_) | None => Err("a list is expected".to_owned()),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the evaluator hands arguments over by value")]
fn length(args: FuncArgs) -> Result<hcl::Value, String> {
    match args.first() {
        Some(hcl::Value::Array(items)) => Ok(items.len().into()),
        Some(hcl::Value::Object(entries)) => Ok(entries.len().into()),
        Some(hcl::Value::String(text)) => Ok(text.chars().count().into()),
        Some(_) | None => Err("a list, an object or a text is expected".to_owned()),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the evaluator hands arguments over by value")]
fn to_number(args: FuncArgs) -> Result<hcl::Value, String> {
    let number: f64 = text(&args, 0)?.trim().parse().map_err(|_| "a number is expected")?;
    hcl::Number::from_f64(number).map(hcl::Value::Number).ok_or_else(|| "a number is expected".to_owned())
}

#[expect(clippy::needless_pass_by_value, reason = "the evaluator hands arguments over by value")]
fn split(args: FuncArgs) -> Result<hcl::Value, String> {
    let (separator, whole) = (text(&args, 0)?, text(&args, 1)?);
    Ok(hcl::Value::Array(whole.split(&separator).map(hcl::Value::from).collect()))
}

#[expect(clippy::needless_pass_by_value, reason = "the evaluator hands arguments over by value")]
fn join(args: FuncArgs) -> Result<hcl::Value, String> {
    let separator = text(&args, 0)?;
    match args.get(1) {
        Some(hcl::Value::Array(items)) => {
            let parts: Option<Vec<&str>> = items.iter().map(hcl::Value::as_str).collect();
            parts.map(|parts| parts.join(&separator).into()).ok_or_else(|| "a list of texts is expected".to_owned())
        }
        Some(_) | None => Err("a list is expected".to_owned()),
    }
}

fn text(args: &FuncArgs, index: usize) -> Result<String, String> {
    match args.get(index) {
        Some(hcl::Value::String(text)) => Ok(text.clone()),
        Some(hcl::Value::Number(number)) => Ok(number.to_string()),
        Some(hcl::Value::Bool(truth)) => Ok(truth.to_string()),
        Some(_) | None => Err("a text is expected".to_owned()),
    }
}

//! `--set path=value`: changes to the text of a scenario before it is read, so that mistakes in them are found like any
//! other and are pointed at where they were typed.

use std::sync::LazyLock;

use serde_json::Value;

use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::diagnostic::Piece;
use crate::scenario::diagnostic::Place;
use crate::scenario::diagnostic::Source;
use crate::scenario::diagnostic::SourceId;
use crate::scenario::diagnostic::Sources;
use crate::scenario::locate;
use crate::scenario::locate::Node;
use crate::scenario::locate::Shape;
use crate::scenario::locate::Step;
use crate::scenario::schema::JSON_SCHEMA;
use crate::scenario::suggest;

/// Applies edits in order; findings say that they were typed after `option` (`--set`). Returns the text to read: the
/// file itself if there are none.
pub fn apply(
    sources: &mut Sources,
    file: SourceId,
    option: &str,
    edits: &[String],
) -> Result<SourceId, Box<Diagnostic>> {
    let mut current = file;
    for edit in edits {
        current = apply_one(sources, current, option, edit)?;
    }
    Ok(current)
}

fn apply_one(sources: &mut Sources, current: SourceId, option: &str, edit: &str) -> Result<SourceId, Box<Diagnostic>> {
    let argument = sources.add(option, edit);
    let wrong = |span: std::ops::Range<usize>, message: String| {
        Box::new(Diagnostic::error("E016", message).at(Some(Place { source: argument, span })).hint(EXAMPLE))
    };
    let Some((path, value)) = edit.split_once('=') else {
        return Err(wrong(0..edit.len(), "an edit is written `path=value`".to_owned()));
    };
    let steps = match locate::steps(path) {
        Some(steps) if !steps.is_empty() => steps,
        Some(_) | None => return Err(wrong(0..path.len(), format!("`{path}` is not a path"))),
    };
    let text = sources.get(current).text.clone();
    // A text without a tree is refused by the reader with a better message.
    let Some(tree) = locate::scan(&text) else { return Ok(current) };
    let (node, taken) = tree.follow(&steps);
    let value_at = path.len() + 1;
    if taken == steps.len() {
        let (open, close) = quotes(value, Some(node), &text);
        return Ok(splice(sources, current, node.span.clone(), (open, argument, value_at, close)));
    }
    // What was left out is added, with the blocks around it.
    let field = |step: &Step| match step {
        Step::Field(name) => Some((*name).to_owned()),
        Step::Index(_) => None,
    };
    let missing: Option<Vec<String>> = steps[taken..].iter().map(field).collect();
    match (missing, &node.shape) {
        (Some(missing), Shape::Struct(_) | Shape::List(_) | Shape::Map(_))
            if text[node.span.clone()].ends_with([')', '}'])
                && !matches!(&node.shape, Shape::List(items) if !items.is_empty()) =>
        {
            let bracket = if text[node.span.clone()].ends_with('}') { '{' } else { '(' };
            let inside = node.span.start + text[node.span.clone()].find(bracket).map_or(0, |at| at + 1);
            let (open, close) = if takes_text(&steps) { quoted(value) } else { quotes(value, None, &text) };
            let (mut before, mut after) = (String::new(), String::new());
            let mut in_map = bracket == '{';
            for (at, name) in missing.iter().enumerate() {
                if at > 0 {
                    before.push(if in_map { '{' } else { '(' });
                    after.insert(0, if in_map { '}' } else { ')' });
                }
                let quote = if in_map { "\"" } else { "" };
                before.extend([quote, name.as_str(), quote, ": "]);
                in_map = takes_map(&steps[..=taken + at]);
            }
            let (open, close) = (before + open, format!("{close}{after}, "));
            Ok(splice(sources, current, inside..inside, (&open, argument, value_at, &close)))
        }
        _ => {
            let finding = wrong(0..path.len(), format!("the scenario has nothing at `{path}`"));
            let is_file = text[node.span.clone()].starts_with("File(");
            let with =
                "write the job as `FileWith(path: \"…\")`, which takes `counts`, `vars`, `regions` and `at`".to_owned();
            Err(match nearest(&tree, &steps[..taken], &steps[taken]).or_else(|| is_file.then_some(with)) {
                Some(hint) => Box::new(finding.hint(hint)),
                None => finding,
            })
        }
    }
}

/// What was perhaps meant: how far a list goes, or a field whose name is nearly the same.
fn nearest(tree: &Node, taken: &[Step<'_>], missing: &Step<'_>) -> Option<String> {
    let (holder, _) = tree.follow(taken);
    let shown = |step: &Step<'_>| match step {
        Step::Field(name) => format!(".{name}"),
        Step::Index(index) => format!("[{index}]"),
    };
    let before: String = taken.iter().map(shown).collect();
    let before = before.trim_start_matches('.');
    match (&holder.shape, missing) {
        (Shape::List(items), Step::Index(_)) if !items.is_empty() => {
            Some(format!("`{before}` has {} entries, from `[0]` to `[{}]`", items.len(), items.len() - 1))
        }
        (Shape::Struct(fields) | Shape::Map(fields), Step::Field(name)) => {
            suggest::closest(name, fields.iter().map(|(known, _, _)| known.as_str()))
                .map(|name| format!("did you mean `{name}`?"))
        }
        _ => None,
    }
}

/// Texts need not be typed with their quotes: a value that replaces a text, or that is no RON of its own, is one.
fn quotes(value: &str, old: Option<&Node>, text: &str) -> (&'static str, &'static str) {
    let replaces_text =
        old.is_some_and(|node| node.shape == Shape::Text && text[node.span.clone()].starts_with(['"', 'r']));
    let new = locate::scan(value);
    let is_text = new.as_ref().is_some_and(|node| node.shape == Shape::Text);
    let is_word = new.as_ref().is_some_and(|node| node.shape == Shape::Plain);
    let truth = matches!(value.trim(), "true" | "false" | "None");
    let variant = value.trim_start().starts_with(|c: char| c.is_ascii_uppercase());
    let number = value.trim_start().starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'))
        && value.trim().parse::<f64>().is_ok();
    let needs = match old {
        Some(_) => replaces_text && !is_text,
        None => new.is_none() || is_word && !truth && !variant && !number,
    };
    if needs { quoted(value) } else { ("", "") }
}

/// Quotes for a text, unless it has some.
fn quoted(value: &str) -> (&'static str, &'static str) {
    if value.contains(['"', '\\']) { ("", "") } else { ("\"", "\"") }
}

static SCHEMA: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(JSON_SCHEMA).expect("the schema is JSON"));

/// Whether the scenario has a text at this path, so that `versions.nomad=1.3` is one and no number.
fn takes_text(steps: &[Step<'_>]) -> bool {
    let forms = forms_at(&SCHEMA, steps);
    !forms.is_empty() && forms.iter().all(|form| is_text(form))
}

/// Whether the scenario has a map at this path, whose keys are texts, and no struct.
fn takes_map(steps: &[Step<'_>]) -> bool {
    let is_map = |form: &&Value| form["additionalProperties"].is_object() && form.get("properties").is_none();
    forms_at(&SCHEMA, steps).iter().any(is_map)
}

/// What the value at a path may be.
fn forms_at<'a>(root: &'a Value, steps: &[Step<'_>]) -> Vec<&'a Value> {
    let mut found = vec![root];
    for step in steps {
        found = found.iter().flat_map(|schema| forms(root, schema)).filter_map(|form| inside(form, step)).collect();
    }
    found.iter().flat_map(|schema| forms(root, schema)).collect()
}

/// A free text; the names of variants are written without quotes.
fn is_text(form: &Value) -> bool {
    let of = &form["type"];
    let types: Vec<&Value> = of.as_array().map_or_else(|| vec![of], |types| types.iter().collect());
    let named = form.get("enum").is_some() || form.get("const").is_some();
    !named && types.iter().all(|of| **of == "string" || **of == "null")
}

/// What a value may be: references followed, alternatives and the contents of variants taken apart.
fn forms<'a>(root: &'a Value, schema: &'a Value) -> Vec<&'a Value> {
    if let Some(name) = schema["$ref"].as_str().and_then(|name| name.strip_prefix("#/$defs/")) {
        return forms(root, &root["$defs"][name]);
    }
    let lists = ["anyOf", "oneOf"].into_iter().filter_map(|key| schema[key].as_array());
    let alternatives: Vec<&Value> = lists.flatten().collect();
    if alternatives.is_empty() {
        return vec![schema];
    }
    // A variant is an object of its name alone; paths do not say it.
    let contents = |form: &'a Value| match form["properties"].as_object() {
        Some(properties) if properties.len() == 1 && form["additionalProperties"] == false => {
            properties.values().collect()
        }
        Some(_) | None => vec![form],
    };
    alternatives.into_iter().flat_map(contents).flat_map(|form| forms(root, form)).collect()
}

/// The schema one step further.
fn inside<'a>(form: &'a Value, step: &Step<'_>) -> Option<&'a Value> {
    match step {
        Step::Field(name) => {
            let more = form.get("additionalProperties").filter(|more| more.is_object());
            form["properties"].get(name).or(more)
        }
        Step::Index(index) => {
            form["prefixItems"].get(index).or_else(|| form.get("items").filter(|more| more.is_object()))
        }
    }
}

/// The current text with `span` replaced by `open`, the argument from `value_at` on, and `close`.
fn splice(
    sources: &mut Sources,
    current: SourceId,
    span: std::ops::Range<usize>,
    (open, argument, value_at, close): (&str, SourceId, usize, &str),
) -> SourceId {
    let before = sources.get(current);
    let value = &sources.get(argument).text[value_at..];
    let mut text = String::with_capacity(before.text.len() + value.len() + open.len() + close.len());
    text.push_str(&before.text[..span.start]);
    text.push_str(open);
    text.push_str(value);
    text.push_str(close);
    let resume = text.len();
    text.push_str(&before.text[span.end..]);
    let name = before.name.clone();
    let piece =
        |span: std::ops::Range<usize>, source: SourceId, start: usize, lead: usize| Piece { span, source, start, lead };
    let pieces = vec![
        piece(0..span.start, current, 0, 0),
        piece(span.start..resume, argument, value_at, open.len()),
        piece(resume..text.len(), current, span.end, 0),
    ];
    sources.add_source(Source { name, text, pieces })
}

const EXAMPLE: &str = "paths are written as `traffic[0].rate` or `regions[0].clients[1].count`, from 0";

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Scenario(name: \"x\", seeds: 3, regions: [Region(name: \"a\")], options: ())";

    fn check(edit: &str, expected: &str) {
        let mut sources = Sources::default();
        let file = sources.add("s.ron", TEXT);
        let edited = apply(&mut sources, file, "--set", &[edit.to_owned()]).unwrap();
        assert_eq!(sources.get(edited).text, expected);
    }

    #[test]
    fn values_are_replaced_and_added() {
        check("name=y", &TEXT.replace("\"x\"", "\"y\""));
        check("name=\"y\"", &TEXT.replace("\"x\"", "\"y\""));
        check("seeds=7", &TEXT.replace('3', "7"));
        check("regions[0].like=b", &TEXT.replace("Region(name", "Region(like: \"b\", name"));
        check("options.heartbeat_grace=20s", &TEXT.replace("options: ()", "options: (heartbeat_grace: \"20s\", )"));
        check("options.pre_vote=true", &TEXT.replace("options: ()", "options: (pre_vote: true, )"));
        check("versions.nomad=1.3", &TEXT.replace("Scenario(", "Scenario(versions: (nomad: \"1.3\"), "));
        check("versions.nomad=\"1.3\"", &TEXT.replace("Scenario(", "Scenario(versions: (nomad: \"1.3\"), "));
        check("regions[0].like=7", &TEXT.replace("Region(name", "Region(like: \"7\", name"));
        check("warmup=7", &TEXT.replace("Scenario(", "Scenario(warmup: \"7\", "));
        check("scheduler.workers=4", &TEXT.replace("Scenario(", "Scenario(scheduler: (workers: 4), "));
        check("scheduler.algorithm=Spread", &TEXT.replace("Scenario(", "Scenario(scheduler: (algorithm: Spread), "));
        check("duration=5m", &TEXT.replace("Scenario(", "Scenario(duration: \"5m\", "));
    }

    #[test]
    fn a_map_that_was_left_out_is_added_with_its_keys() {
        const JOBS: &str = "Scenario(jobs: [FileWith(path: \"a\"), File(\"b\"), FileWith(path: \"c\", counts: {})])";
        for (edit, old, new) in [
            ("jobs[0].counts.web=3", "FileWith(path: \"a\"", "FileWith(counts: {\"web\": 3}, path: \"a\""),
            ("jobs[0].vars.n=3", "FileWith(path: \"a\"", "FileWith(vars: {\"n\": \"3\"}, path: \"a\""),
            ("jobs[2].counts.web=3", "{}", "{\"web\": 3, }"),
            ("plan.prices.large=1 USD/h", "Scenario(", "Scenario(plan: (prices: {\"large\": \"1 USD/h\"}), "),
        ] {
            let mut sources = Sources::default();
            let file = sources.add("s.ron", JOBS);
            let edited = apply(&mut sources, file, "--set", &[edit.to_owned()]).unwrap();
            assert_eq!(sources.get(edited).text, JOBS.replacen(old, new, 1));
        }
        let mut sources = Sources::default();
        let file = sources.add("s.ron", JOBS);
        let finding = apply(&mut sources, file, "--set", &["jobs[1].counts.web=3".to_owned()]).unwrap_err();
        assert!(finding.hint.is_some_and(|hint| hint.contains("FileWith")));
    }

    #[test]
    fn places_in_an_edit_are_those_that_were_typed() {
        let mut sources = Sources::default();
        let file = sources.add("s.ron", TEXT);
        let edited =
            apply(&mut sources, file, "--set", &["name=long enough".to_owned(), "seeds=0".to_owned()]).unwrap();
        let tree = locate::scan(&sources.get(edited).text).unwrap();
        let position = |path: &str| sources.position(&Place { source: edited, span: tree.find(path) });
        assert_eq!(position("seeds"), "--set:1:7");
        assert_eq!(position("regions"), "s.ron:1:40");
    }

    #[test]
    fn what_cannot_be_edited_is_said() {
        for edit in ["name", "=1", "regions[7].name=x", "name.x=1", "a..b=1", "[=1"] {
            let mut sources = Sources::default();
            let file = sources.add("s.ron", TEXT);
            let finding = apply(&mut sources, file, "--set", &[edit.to_owned()]).unwrap_err();
            assert_eq!(finding.code, "E016", "{edit}");
        }
    }
}

//! Expressions and what comes of them.

use std::collections::BTreeMap;

use crate::base::ordered::OrdMap;
use crate::scenario::import::nomad_job::Finding;
use crate::scenario::import::nomad_job::import;
use crate::scenario::import::tree::Builder;

/// The value as text, or the reason.
fn result(expression: &str) -> String {
    let mut locals: hcl::Map<String, hcl::Value> = hcl::Map::new();
    locals.insert("z".to_owned(), 0.into());
    locals.insert("max".to_owned(), u64::MAX.into());
    locals.insert("min".to_owned(), i64::MIN.into());
    let variables = [("local".to_owned(), hcl::Value::Object(locals))].into_iter().collect();
    let names = OrdMap::new();
    let builder = Builder { text: expression, names: &names, variables, blocks_left: 0, mistakes: Vec::new() };
    let written = expression.parse().unwrap_or_else(|error| panic!("{expression}: {error}"));
    match builder.attempt(&written) {
        Ok(value) => value.to_string(),
        Err(error) => super::reason(&error).map_or("unknown", |(reason, _)| reason).to_owned(),
    }
}

#[test]
fn arithmetic_gives_the_right_number_or_a_reason() {
    let table = [
        ("1 + 2 * 3", "7"),
        ("7 / 2", "3.5"),
        ("8 / 2", "4"),
        ("1.5 + 1.5", "3"),
        ("0.5 - 1", "-0.5"),
        ("7 % 3", "1"),
        ("-7 % 3", "-1"),
        ("7 % -3", "1"),
        ("5.5 % 2", "1.5"),
        ("5 - 8", "-3"),
        ("-(3)", "-3"),
        ("-0", "0"),
        ("-0.0 + 0", "0"),
        ("-local.z", "0"),
        ("-local.min", "9223372036854775808"),
        ("-(-local.min)", "-9223372036854775808"),
        ("-9223372036854775808 % -1", "0"),
        ("-9223372036854775808 / -1", "9223372036854775808"),
        ("18446744073709551615 - 18446744073709551614", "1"),
        ("18446744073709551614 + 1", "18446744073709551615"),
        ("9007199254740993 - 9007199254740992", "1"),
        ("-5 + 9007199254740993", "9007199254740988"),
        ("18446744073709551615 + 1 - 18446744073709551615", "1"),
        ("1 % 0", super::BY_ZERO),
        ("1 / 0", super::BY_ZERO),
        ("0 / 0", super::BY_ZERO),
        ("5 % 0.0", super::BY_ZERO),
        ("5.5 / -0.0", super::BY_ZERO),
        ("5 % local.z", super::BY_ZERO),
        ("local.max + 2", super::DIGITS),
        ("9223372036854775807 * 3", super::DIGITS),
        ("0 - 18446744073709551615", super::DIGITS),
        ("-local.max", super::DIGITS),
        ("-9223372036854775808 - 9223372036854775807", super::DIGITS),
        ("local.max * local.max * local.max", super::DIGITS),
        ("local.max / 2", super::DIGITS),
        ("1e300 * 1e300", super::DIGITS),
        ("1e300 / 1e-300", super::TOO_LARGE),
        ("1e300 * 1e-300", "1"),
        ("1e-300 * 1e-300", "0"),
        ("18446744073709551617 - 1", super::DIGITS),
        ("-18446744073709551615 + 1", super::DIGITS),
        ("18446744073709551616 > 1", "true"),
        ("local.max == -1", "false"),
        ("local.min < local.max", "true"),
        ("1 + null", "unknown"),
        ("1 + \"a\"", "unknown"),
        ("-[]", "unknown"),
        ("1 + attr.x", "unknown"),
    ];
    for (expression, expected) in table {
        assert_eq!(result(expression), expected, "{expression}");
    }
}

#[test]
fn arithmetic_is_checked_wherever_it_stands() {
    let table = [
        ("[for i in [1, 2]: 4 / i]", "[4,2]"),
        ("[for i in [1, 0]: 4 % i]", super::BY_ZERO),
        ("[for i in [1, 0]: i if 4 % i == 0]", super::BY_ZERO),
        ("[for i in [2 % 0]: i]", super::BY_ZERO),
        ("{for i in [1, 0]: \"${4 % i}\" => i}", super::BY_ZERO),
        ("{for i in [1, 0]: 4 % i => i}", super::BY_ZERO),
        ("{ (1 % 0) = 1 }", super::BY_ZERO),
        ("{ (1 + 1) = 1 + 2 }", "{\"2\"=3}"),
        ("{ a = 1 % 0 }", super::BY_ZERO),
        ("[1, 2][1 % 0]", super::BY_ZERO),
        ("[1, 2][2 - 1]", "2"),
        ("(1 % 0)", super::BY_ZERO),
        ("!(1 % 0 == 1)", super::BY_ZERO),
        ("max(1, 2 % 0)", super::BY_ZERO),
        ("max([1, 2 % 0]...)", super::BY_ZERO),
        ("true ? 1 : 1 % 0", "1"),
        ("1 % 0 == 0 ? 1 : 2", super::BY_ZERO),
        ("\"a${1 % 0}\"", super::BY_ZERO),
        ("\"${1 + 1}b\"", "2b"),
        ("\"${ 1 /* one */ + /* two */ 2 }b\"", "3b"),
        ("\"%{ for i in [1, 0] }${4 % i}%{ endfor }\"", super::BY_ZERO),
        ("\"%{ if 1 % 0 == 0 }a%{ else }b%{ endif }\"", super::BY_ZERO),
        ("\"%{ for i in [1, 2] }${4 * i}%{ endfor }\"", "48"),
        ("\"${\"${1 % 0}\"}\"", super::BY_ZERO),
        ("<<X\na${2 * 3}\n${1 % 0}\nX", super::BY_ZERO),
        ("<<X\na${2 * 3}\nX", "a6\\n"),
    ];
    let bare = |text: String| text.replace([' ', '\n'], "");
    for (expression, expected) in table {
        let got = result(expression);
        assert!(
            got == expected || bare(got.clone()).trim_matches('"') == bare(expected.to_owned()),
            "{expression}: {got}"
        );
    }
}

fn found(text: &str) -> Vec<(&'static str, String, String)> {
    let (_, findings) = import(text, &BTreeMap::new());
    let of = |finding: Finding| (finding.code, text[finding.span].to_owned(), finding.message);
    findings.into_iter().map(of).collect()
}

fn counting(before: &str, count: &str) -> String {
    format!(
        "{before}\njob \"j\" {{\n datacenters = [\"a\"]\n group \"g\" {{\n count = {count}\n \
         task \"t\" {{\n driver = \"docker\"\n }}\n }}\n}}\n"
    )
}

#[test]
fn what_has_no_result_is_said_once_at_its_place() {
    let message = |raw: &str| format!("`{raw}` cannot be evaluated: {}", super::BY_ZERO);
    for raw in ["1 % 0", "[for i in [0]: 1 % i]", "5 % 0.0"] {
        assert_eq!(found(&counting("", raw)), [("E010", raw.to_owned(), message(raw))]);
    }
    assert_eq!(found(&counting("", "\"${1 % 0}\"")), [("E010", "1 % 0".to_owned(), message("1 % 0"))]);
    let unused = counting("variable \"v\" {\n default = 1 % 0\n}\nlocals {\n a = 1 / local.b\n b = 0\n}\n", "1");
    let expected = [("E010", "1 % 0".to_owned(), message("1 % 0"))];
    let local = ("E010", "1 / local.b".to_owned(), message("1 / local.b"));
    assert_eq!(found(&unused), [expected[0].clone(), local]);
}

#[test]
fn locals_that_double_each_other_end_in_an_error() {
    let chain: Vec<String> = (1..300).map(|i| format!(" l{i} = local.l{} * local.l{}", i - 1, i - 1)).collect();
    let text = counting(&format!("locals {{\n l0 = 2\n{}\n}}\n", chain.join("\n")), "local.l299");
    let found = found(&text);
    assert_eq!(found[0].1, "local.l6 * local.l6", "{found:?}");
    assert!(found.iter().all(|(code, ..)| *code == "E010"), "{found:?}");
}

#[test]
fn numbers_no_float_holds_do_not_parse() {
    for count in ["1e999999", "-1e999", &"9".repeat(400)] {
        let found = found(&counting("", count));
        assert!(found.len() == 1 && found[0].2.contains("does not parse"), "{count}: {found:?}");
    }
    assert_eq!(found(&counting("", "-0")), []);
    for count in ["-18446744073709551616", &"9".repeat(40), "1e300"] {
        assert_eq!(found(&counting("", count))[0].0, "E010", "{count}");
    }
}

#[test]
fn several_variables_may_stand_in_one_block() {
    let text =
        counting("variables {\n x = 3\n y = 1 + 1\n}\nvariable \"z\" {\n default = 4\n}", "var.x * var.y * var.z");
    let count = |vars: &[(&str, &str)]| {
        let vars = vars.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let (imported, findings) = import(&text, &vars);
        assert_eq!(findings, []);
        imported.map(|imported| imported.job.groups[0].count)
    };
    assert_eq!(count(&[]), Some(24));
    assert_eq!(count(&[("x", "5")]), Some(40));
}

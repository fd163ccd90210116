//! A comparison as JUnit XML: a test per figure, law and expectation; regressions are failures, each once however many
//! figures tell of it, and whatever else makes the gate fail is one, too. Too few seeds to tell are an error. No times.

use std::fmt::Write as _;

use super::{Account, change, detectable, interval, moved, name, probability, told, value};
use crate::analysis::compare::{Row, Verdict};
use crate::report::escape::escaped;

/// The document, ending in a newline.
pub fn render(account: &Account) -> String {
    let comparison = &account.comparison;
    let mut cases = String::new();
    let (mut tests, mut failures) = (0, 0);
    let mut add = |class: &str, name: &str, failure: Option<Failure>, said: &str| {
        tests += 1;
        failures += usize::from(failure.is_some());
        let _ = write!(cases, "    <testcase classname=\"{}\" name=\"{}\"", escaped(class), escaped(name));
        let _ = match failure {
            Some(Failure { kind, message, detail }) => writeln!(
                cases,
                ">\n      <failure type=\"{kind}\" message=\"{}\">{}</failure>\n    </testcase>",
                escaped(&message),
                escaped(&detail)
            ),
            None => writeln!(cases, ">\n      <system-out>{}</system-out>\n    </testcase>", escaped(said)),
        };
    };
    let class = format!("cossim.{}", comparison.head.scenario);
    if comparison.identical {
        add(&class, "runs", None, &account.counts());
    }
    for row in &comparison.rows {
        let fails = account.fails(row.verdict) && row.same_as.is_none();
        let failure = fails.then(|| Failure { kind: kind(row.verdict), message: change(row), detail: detail(row) });
        let said = format!("{}: {}: {}", row.verdict.name(), told(row), detail(row));
        add(&format!("{class}.figures"), &name(row), failure, &said);
    }
    for exact in &comparison.exact {
        let told = format!("{} → {}", exact.base, exact.head);
        let said = format!("{}: {told}", exact.verdict.name());
        let fails = account.fails(exact.verdict);
        let failure = fails.then(|| Failure { kind: kind(exact.verdict), message: told.clone(), detail: told });
        add(&format!("{class}.exact"), &exact.what, failure, &said);
    }
    // What the base has nothing of is a difference, and no regression.
    for told in account.of_head_alone().into_iter().filter(|_| account.fails(Verdict::Moved)) {
        let failure = Failure { kind: "difference", message: told.clone(), detail: told };
        add(&class, "of the head alone", Some(failure), "");
    }
    let undecided = Some(account.why_undecided().join("; ")).filter(|_| account.is_undecided());
    let errors = usize::from(undecided.is_some());
    tests += errors;
    if let Some(why) = undecided {
        let (class, why) = (escaped(&class), escaped(&why));
        let _ = writeln!(
            cases,
            "    <testcase classname=\"{class}\" name=\"seeds\">\n      <error type=\"undecided\" \
             message=\"{why}\">{why}</error>\n    </testcase>"
        );
    }
    let suite = escaped(&format!("cossim compare {} {}", account.base, account.head));
    let notes = account.caveats().join("\n");
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"cossim\" tests=\"{tests}\" failures=\"{failures}\" \
         errors=\"{errors}\">\n  <testsuite name=\"{suite}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" \
         skipped=\"0\">\n{cases}    <system-out>{}</system-out>\n  </testsuite>\n</testsuites>\n",
        escaped(&notes)
    )
}

/// Why a test failed.
struct Failure {
    kind: &'static str,
    message: String,
    detail: String,
}

/// What kind of failure that is.
fn kind(verdict: Verdict) -> &'static str {
    if verdict == Verdict::Regression { "regression" } else { "difference" }
}

fn detail(row: &Row) -> String {
    let (base, head) = (value(row.base, &row.unit), value(row.head, &row.unit));
    let (change, interval, p, shown) = (change(row), interval(row), probability(row), detectable(row));
    let (tolerated, moved) = (value(row.tolerance, &row.unit), moved(row));
    if row.is_never() {
        return format!("{change}, no difference, p {p}, moved in {moved} seeds");
    }
    format!(
        "{base} → {head}, change {change}, 95 % interval {interval}, p {p}, tolerated {tolerated}, would have shown \
         {shown}, moved in {moved} seeds"
    )
}

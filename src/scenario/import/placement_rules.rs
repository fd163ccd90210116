//! What Nomad refuses of constraints, affinities and spreads when a job is registered (`Constraint.Validate`,
//! `Affinity.Validate`, `Spread.Validate`). What it takes and no node ever satisfies is no mistake here: the job is
//! registered and waits.

use crate::base::ordered::OrdSet;
use crate::model::constraint::Affinity;
use crate::model::constraint::Constraint;
use crate::model::constraint::Spread;
use crate::protocol::scheduler::operators::Operator;
use crate::protocol::scheduler::re2::is_pattern;
use crate::protocol::scheduler::versions::Rules;
use crate::protocol::scheduler::versions::is_list;
use crate::scenario::import::rules::Piece;

/// Everything that is wrong with these, in order.
pub fn broken(constraints: &[Constraint], affinities: &[Affinity], spreads: &[Spread]) -> Vec<(Piece, String)> {
    let mut all = Vec::new();
    for (at, Constraint { left, operator, right }) in constraints.iter().enumerate() {
        let mut out = Vec::new();
        let found = Operator::parse(operator);
        let whole = format!("{left} {operator} {right}");
        let bare = matches!(found, Operator::IsSet | Operator::IsNotSet | Operator::DistinctHosts);
        out.extend(operand(found, operator, right, whole.trim()));
        if left.is_empty() && found != Operator::DistinctHosts {
            out.push(format!("has a constraint without an attribute: `{}`", whole.trim()));
        }
        if right.is_empty() && !bare && found != Operator::DistinctProperty {
            out.push(format!("has a constraint without a value: `{}`", whole.trim()));
        }
        all.extend(out.into_iter().map(|message| (Piece::Constraint(at), message)));
    }
    for (at, Affinity { left, operator, right, weight }) in affinities.iter().enumerate() {
        let mut out = Vec::new();
        let found = Operator::parse(operator);
        let whole = format!("{left} {operator} {right}");
        out.extend(operand(found, operator, right, whole.trim()));
        let bare = matches!(found, Operator::IsSet | Operator::IsNotSet);
        if bare || matches!(found, Operator::DistinctHosts | Operator::DistinctProperty) {
            out.push(format!("has an affinity with `{operator}`, which only constraints may use"));
        } else if left.is_empty() || right.is_empty() {
            out.push(format!("has an affinity without an attribute or a value: `{}`", whole.trim()));
        }
        if *weight == 0 {
            out.push(format!("has an affinity of weight 0: `{}`", whole.trim()));
        }
        all.extend(out.into_iter().map(|message| (Piece::Affinity(at), message)));
    }
    for (at, spread) in spreads.iter().enumerate() {
        let mut out = Vec::new();
        let attribute = &spread.attribute;
        if attribute.is_empty() {
            out.push("has a spread without an attribute".to_owned());
        }
        let values: OrdSet<&str> = spread.targets.iter().map(|target| target.value.as_str()).collect();
        if values.len() < spread.targets.len() {
            out.push(format!("names a value of the spread over `{attribute}` twice"));
        }
        if !(1..=100).contains(&spread.weight) {
            out.push(format!("gives the spread over `{attribute}` a weight of {}, not within 1..=100", spread.weight));
        }
        let percent: u32 = spread.targets.iter().map(|target| u32::from(target.percent)).sum();
        if percent > 100 {
            out.push(format!("gives the spread over `{attribute}` shares of {percent} % in all"));
        }
        all.extend(out.into_iter().map(|message| (Piece::Spread(at), message)));
    }
    all
}

fn operand(found: Operator, operator: &str, right: &str, whole: &str) -> Option<String> {
    let reason = match found {
        Operator::Unknown => format!("`{operator}` is no operator"),
        Operator::Regexp if !is_pattern(right) => format!("`{right}` is no regular expression"),
        Operator::Version if !is_list(right, Rules::Version) => format!("`{right}` is no list of versions"),
        Operator::Semver if !is_list(right, Rules::Semver) => format!("`{right}` is no list of versions"),
        Operator::DistinctProperty if !right.is_empty() && !right.parse::<u64>().is_ok_and(|count| count > 0) => {
            format!("`{right}` is no count above zero")
        }
        _ => return None,
    };
    Some(format!("has a rule that cannot be: `{whole}`: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::constraint::SpreadTarget;

    fn constraint(left: &str, operator: &str, right: &str) -> Vec<(Piece, String)> {
        broken(&[Constraint { left: left.into(), operator: operator.into(), right: right.into() }], &[], &[])
    }

    #[test]
    fn operands_are_read_when_a_job_is_registered() {
        for (operator, right, fine) in [
            ("regexp", "^linux$", true),
            ("regexp", "[linux", false),
            ("version", ">= 1.2, < 2", true),
            ("version", ">= one", false),
            ("semver", "~> 1.2", false),
            ("distinct_property", "2", true),
            ("distinct_property", "0", false),
            ("distinct_property", "", true),
            ("is_set", "", true),
            ("=", "", false),
            ("~", "linux", false),
        ] {
            assert_eq!(constraint("${attr.x}", operator, right).is_empty(), fine, "{operator} {right}");
        }
        assert!(constraint("", "distinct_hosts", "true").is_empty());
        assert_eq!(constraint("", "=", "linux").len(), 1);
    }

    #[test]
    fn preferences_have_weights_and_shares() {
        let affinity = |operator: &str, weight| Affinity {
            left: "${attr.x}".into(),
            operator: operator.into(),
            right: "y".into(),
            weight,
        };
        assert!(broken(&[], &[affinity("=", -100)], &[]).is_empty());
        assert_eq!(broken(&[], &[affinity("=", 0), affinity("is_set", 50)], &[]).len(), 2);
        let target = |value: &str, percent| SpreadTarget { value: value.into(), percent };
        let spread = |targets| Spread { attribute: "${meta.zone}".into(), weight: 50, targets };
        assert!(broken(&[], &[], &[spread(vec![target("a", 70), target("b", 30)])]).is_empty());
        assert_eq!(broken(&[], &[], &[spread(vec![target("a", 70), target("b", 31)])]).len(), 1);
        assert_eq!(broken(&[], &[], &[spread(vec![target("a", 50), target("a", 50)])]).len(), 1);
    }
}

//! The assumed values a result rests on, in words, and what a sensitivity analysis found of them.

use crate::analysis::summary::sensitivity::{Ends, Influence, MATTERS, Sensitivity};
use crate::base::ordered::OrdMap;
use crate::report::text::{number, plural};

/// Named values of one kind as one: `services[].stop = 0s (3 of them)`.
pub(super) fn gathered<'a>(values: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<String> {
    let mut kinds: Vec<(String, &str)> = Vec::new();
    let mut members: OrdMap<(String, &str), Vec<&str>> = OrdMap::new();
    for (path, value) in values {
        let kind = (pattern(path), value);
        if !members.contains_key(&kind) {
            kinds.push(kind.clone());
        }
        members.entry(kind).or_default().push(path);
    }
    let one = |kind: (String, &str)| match members[&kind].as_slice() {
        [path] => format!("{path} = {}", kind.1),
        several => format!("{} = {} ({} of them)", kind.0, kind.1, several.len()),
    };
    kinds.into_iter().map(one).collect()
}

/// A path without its numbers.
fn pattern(path: &str) -> String {
    let parts = path.split('[').enumerate().map(|(at, part)| match part.split_once(']') {
        Some((index, rest)) if at > 0 && index.bytes().all(|byte| byte.is_ascii_digit()) => format!("[]{rest}"),
        Some(_) | None if at > 0 => format!("[{part}"),
        Some(_) | None => part.to_owned(),
    });
    parts.collect()
}

/// What was found of the value at a path.
pub(super) fn found(sensitivity: &Sensitivity, path: &str) -> String {
    let Some(varied) = sensitivity.varied.iter().find(|varied| varied.path == path) else {
        return "not varied".to_owned();
    };
    match sensitivity.most(path) {
        None => format!("nothing can be said: no measure had a value over {}", varied.values),
        Some(most) => format!("{}, over {}", influence(most), varied.values),
    }
}

/// An influence in words.
fn influence(most: &Influence) -> String {
    let Influence { measure, unit, ends, effect, of_largest, share, share_ci95, .. } = most;
    if let Some(Ends { turned, moves }) = ends {
        return format!("decides whether `{measure}` ends at all (in {turned} of {moves} moves)");
    }
    if let Some(share) = share {
        let sure = share_ci95.map_or(String::new(), |[low, high]| format!(" [{} … {}]", number(low), number(high)));
        return format!("{} %{sure} of the variance of `{measure}`", number(*share));
    }
    let moves = format!("`{measure}` by {} {unit}", number(effect.unwrap_or(0.0)));
    match of_largest.unwrap_or(0.0) {
        ..=0.0 => "nothing depends on it".to_owned(),
        small if small < MATTERS => format!("hardly matters: moves {moves}"),
        _ => format!("moves {moves}"),
    }
}

/// What was analysed, in a line.
pub(super) fn analysed(sensitivity: &Sensitivity) -> String {
    let trajectories = plural(sensitivity.trajectories, "trajectory").replace("trajectorys", "trajectories");
    let rows = sensitivity.rows.map_or(String::new(), |rows| format!(", {}", plural(rows, "row")));
    let seeds = plural(sensitivity.seeds.len(), "seed");
    format!("{trajectories}{rows}, {seeds} at each point, {} runs", sensitivity.runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_one_kind_are_named_once() {
        let values = [
            ("scheduler.cost.plan", "50us"),
            ("services[0].stop", "0s"),
            ("services[1].stop", "0s"),
            ("services[2].stop", "1s"),
            ("a[3].b[12].c", "x"),
        ];
        let named = ["scheduler.cost.plan = 50us", "services[].stop = 0s (2 of them)", "services[2].stop = 1s"];
        assert_eq!(gathered(values.into_iter()), [&named[..], &["a[3].b[12].c = x"]].concat());
        assert_eq!(pattern("a[3].b[12].c"), "a[].b[].c");
    }

    #[test]
    fn an_influence_is_told_by_its_share_or_else_by_its_effect() {
        let of = |effect, of_largest, share: Option<f64>| Influence {
            path: "p".to_owned(),
            measure: "m max".to_owned(),
            unit: "ms".to_owned(),
            ends: None,
            effect: Some(effect),
            of_largest: Some(of_largest),
            share,
            share_ci95: share.map(|share| [share - 1.0, share + 1.0]),
        };
        assert_eq!(influence(&of(1.0, 50.0, Some(40.0))), "40 % [39 … 41] of the variance of `m max`");
        assert_eq!(influence(&of(12.0, 50.0, None)), "moves `m max` by 12 ms");
        assert_eq!(influence(&of(1.0, 2.0, None)), "hardly matters: moves `m max` by 1 ms");
        assert_eq!(influence(&of(0.0, 0.0, None)), "nothing depends on it");
        let decides = Influence { ends: Some(Ends { turned: 2, moves: 3 }), ..of(12.0, 50.0, Some(40.0)) };
        assert_eq!(influence(&decides), "decides whether `m max` ends at all (in 2 of 3 moves)");
    }
}

//! Attributes of devices: typed values with units, and the operators over them (Nomad `plugins/shared/structs`
//! `Attribute`, scheduler `checkAttributeConstraint`).

use std::cmp::Ordering;

use crate::model::node::NodeDevice;
use crate::protocol::scheduler::operators::{Memo, Operator, Resolved};

/// A typed value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// A whole number in a unit.
    Whole(i64, Option<&'static Unit>),
    /// Another number in a unit.
    Real(f64, Option<&'static Unit>),
    /// True or false.
    Truth(bool),
    /// Anything else.
    Text(&'a str),
}

/// A unit of measure, as a multiple of its base.
#[derive(Debug, PartialEq, Eq)]
pub struct Unit {
    name: &'static str,
    base: Base,
    /// Units of the base in one of these, or with `divides` the other way round.
    factor: u64,
    divides: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Base {
    Byte,
    BytePerSecond,
    Hertz,
    Watt,
}

const fn unit(name: &'static str, base: Base, factor: u64) -> Unit {
    Unit { name, base, factor, divides: false }
}

/// Longest names first, so that the longest suffix is found.
static UNITS: [Unit; 33] = [
    unit("kiB/s", Base::BytePerSecond, 1 << 10),
    unit("MiB/s", Base::BytePerSecond, 1 << 20),
    unit("GiB/s", Base::BytePerSecond, 1 << 30),
    unit("TiB/s", Base::BytePerSecond, 1 << 40),
    unit("PiB/s", Base::BytePerSecond, 1 << 50),
    unit("EiB/s", Base::BytePerSecond, 1 << 60),
    unit("kB/s", Base::BytePerSecond, 1_000),
    unit("KB/s", Base::BytePerSecond, 1_000),
    unit("MB/s", Base::BytePerSecond, 1_000_000),
    unit("GB/s", Base::BytePerSecond, 1_000_000_000),
    unit("TB/s", Base::BytePerSecond, 1_000_000_000_000),
    unit("PB/s", Base::BytePerSecond, 1_000_000_000_000_000),
    unit("EB/s", Base::BytePerSecond, 1_000_000_000_000_000_000),
    unit("kiB", Base::Byte, 1 << 10),
    unit("MiB", Base::Byte, 1 << 20),
    unit("GiB", Base::Byte, 1 << 30),
    unit("TiB", Base::Byte, 1 << 40),
    unit("PiB", Base::Byte, 1 << 50),
    unit("EiB", Base::Byte, 1 << 60),
    unit("MHz", Base::Hertz, 1_000_000),
    unit("GHz", Base::Hertz, 1_000_000_000),
    unit("kB", Base::Byte, 1_000),
    unit("KB", Base::Byte, 1_000),
    unit("MB", Base::Byte, 1_000_000),
    unit("GB", Base::Byte, 1_000_000_000),
    unit("TB", Base::Byte, 1_000_000_000_000),
    unit("PB", Base::Byte, 1_000_000_000_000_000),
    unit("EB", Base::Byte, 1_000_000_000_000_000_000),
    Unit { name: "mW", base: Base::Watt, factor: 1_000, divides: true },
    unit("kW", Base::Watt, 1_000),
    unit("MW", Base::Watt, 1_000_000),
    unit("GW", Base::Watt, 1_000_000_000),
    unit("W", Base::Watt, 1),
];

impl<'a> Value<'a> {
    /// Reads a literal: a number, perhaps with a unit; a truth; otherwise a text.
    pub fn parse(text: &'a str) -> Self {
        let found = UNITS.iter().find_map(|unit| Some((unit, text.strip_suffix(unit.name)?)));
        let (number, unit) = match found {
            Some((unit, number)) => (number.trim(), Some(unit)),
            None => (text, None),
        };
        if let Ok(whole) = number.parse() {
            return Self::Whole(whole, unit);
        }
        let is_number = number.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
        if let Some(real) = number.parse().ok().filter(|_| is_number) {
            return Self::Real(real, unit);
        }
        match text {
            "t" | "T" | "true" | "TRUE" | "True" => Self::Truth(true),
            "f" | "F" | "false" | "FALSE" | "False" => Self::Truth(false),
            _ => Self::Text(text),
        }
    }

    /// How two values compare; `None` if they do not.
    pub fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Truth(a), Self::Truth(b)) => Some(if a == b { Ordering::Equal } else { Ordering::Less }),
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::Whole(a, of), Self::Whole(b, than)) => {
                let ((up_a, down_a), (up_b, down_b)) = factors(of, than)?;
                Some((i128::from(a) * up_a * down_b).cmp(&(i128::from(b) * up_b * down_a)))
            }
            (Self::Whole(_, of) | Self::Real(_, of), Self::Whole(_, than) | Self::Real(_, than)) => {
                let ((up_a, down_a), (up_b, down_b)) = factors(of, than)?;
                let real = |value: Self| match value {
                    Self::Whole(whole, _) => whole as f64,
                    Self::Real(real, _) => real,
                    Self::Truth(_) | Self::Text(_) => f64::NAN,
                };
                (real(self) * (up_a as f64 / down_a as f64)).partial_cmp(&(real(other) * (up_b as f64 / down_b as f64)))
            }
            _ => None,
        }
    }

    /// The text of a text; whole numbers have one for version lists.
    fn text(self, whole_too: bool) -> Option<std::borrow::Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text.into()),
            Self::Whole(whole, _) if whole_too => Some(whole.to_string().into()),
            Self::Whole(..) | Self::Real(..) | Self::Truth(_) => None,
        }
    }
}

/// Multipliers and divisors into a common base, or `None` if units are of different kinds, or only one side has one.
fn factors(a: Option<&'static Unit>, b: Option<&'static Unit>) -> Option<((i128, i128), (i128, i128))> {
    let of = |unit: &Unit| if unit.divides { (1, i128::from(unit.factor)) } else { (i128::from(unit.factor), 1) };
    match (a, b) {
        (None, None) => Some(((1, 1), (1, 1))),
        (Some(a), Some(b)) if a.base == b.base => Some((of(a), of(b))),
        _ => None,
    }
}

/// A target of a device's constraint, read once.
#[derive(Debug, Clone, Copy, PartialEq)]
enum DeviceTarget<'a> {
    Literal(Value<'a>),
    Model,
    Vendor,
    Kind,
    Attribute(&'a str),
    Unknown,
}

impl<'a> DeviceTarget<'a> {
    fn parse(text: &'a str) -> Self {
        match text {
            "${device.model}" => Self::Model,
            "${device.vendor}" => Self::Vendor,
            "${device.type}" => Self::Kind,
            _ if !text.starts_with("${") => Self::Literal(Value::parse(text)),
            _ => text
                .strip_prefix("${device.attr.")
                .map_or(Self::Unknown, |rest| Self::Attribute(rest.strip_suffix('}').unwrap_or(rest))),
        }
    }

    fn resolve<'d>(self, device: &'d NodeDevice) -> Option<Value<'d>>
    where
        'a: 'd,
    {
        match self {
            Self::Literal(value) => Some(value),
            Self::Model => Some(Value::Text(&device.name)),
            Self::Vendor => Some(Value::Text(&device.vendor)),
            Self::Kind => Some(Value::Text(&device.kind)),
            Self::Attribute(key) => device.attributes.get(key).map(|value| Value::parse(value)),
            Self::Unknown => None,
        }
    }
}

/// A constraint or affinity over a device, read once.
#[derive(Debug, Clone)]
pub struct DeviceRule<'a> {
    left: DeviceTarget<'a>,
    operator: Operator,
    right: DeviceTarget<'a>,
    memo: Memo,
}

impl<'a> DeviceRule<'a> {
    /// Reads the three texts.
    pub fn parse(left: &'a str, operator: &str, right: &'a str) -> Self {
        let (left, right) = (DeviceTarget::parse(left), DeviceTarget::parse(right));
        Self { left, operator: Operator::parse(operator), right, memo: Memo::default() }
    }

    /// Whether it holds for a group of devices.
    pub fn holds(&self, device: &NodeDevice) -> bool {
        check(self.operator, self.left.resolve(device), self.right.resolve(device), &self.memo)
    }
}

/// Whether an operator holds between values; what cannot be compared satisfies nothing.
fn check(operator: Operator, left: Option<Value<'_>>, right: Option<Value<'_>>, memo: &Memo) -> bool {
    let order = || left.zip(right).and_then(|(left, right)| left.compare(right));
    let ranked = || {
        let truths = matches!(left, Some(Value::Truth(_)));
        order().filter(|_| !truths)
    };
    match operator {
        Operator::NotEqual => match (left, right) {
            (None, None) => false,
            (Some(_), None) | (None, Some(_)) => true,
            (Some(_), Some(_)) => order().is_some_and(Ordering::is_ne),
        },
        Operator::Equal => order().is_some_and(Ordering::is_eq),
        Operator::Less => ranked().is_some_and(Ordering::is_lt),
        Operator::AtMost => ranked().is_some_and(Ordering::is_le),
        Operator::Greater => ranked().is_some_and(Ordering::is_gt),
        Operator::AtLeast => ranked().is_some_and(Ordering::is_ge),
        Operator::IsSet => left.is_some(),
        Operator::IsNotSet => left.is_none(),
        Operator::Regexp
        | Operator::Version
        | Operator::Semver
        | Operator::SetContainsAll
        | Operator::SetContainsAny => {
            let whole_too = matches!(operator, Operator::Version | Operator::Semver);
            let left = left.and_then(|value| value.text(whole_too));
            let right = right.and_then(|value| value.text(whole_too));
            let both = left.as_deref().zip(right.as_deref());
            both.is_some_and(|(left, right)| {
                let found = |text| Resolved { text: Some(text), found: true };
                operator.holds(found(left), found(right), memo)
            })
        }
        Operator::DistinctHosts | Operator::DistinctProperty | Operator::Unknown => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_attributes_are_compared_by_type_and_unit() {
        for (left, operator, right, expected) in [
            ("11 GiB", ">", "4 GiB", true),
            ("11264 MiB", "=", "11 GiB", true),
            ("11GiB", ">=", "11 GB", true),
            ("500 mW", "<", "1 W", true),
            ("1.5 GHz", "=", "1500 MHz", true),
            ("11 GiB", ">", "4 GHz", false),
            ("11 GiB", ">", "4", false),
            ("10", "<", "9", false),
            ("2.5", ">", "2", true),
            ("true", "=", "T", true),
            ("true", "!=", "false", true),
            ("true", ">", "false", false),
            ("GTX 1080", "!=", "7", false),
            ("a,b", "set_contains", "b", true),
            ("GTX 1080", "regexp", "^GTX", true),
            ("3.7.1", "version", ">= 3.5", true),
            ("7", "version", ">= 3.5", true),
            ("x", "distinct_hosts", "x", false),
        ] {
            let rule = DeviceRule::parse(left, operator, right);
            let device = NodeDevice {
                vendor: "nvidia".into(),
                kind: "gpu".into(),
                name: "1080ti".into(),
                instances: Vec::new(),
                attributes: crate::base::ordered::OrdMap::new(),
            };
            assert_eq!(rule.holds(&device), expected, "{left} {operator} {right}");
        }
    }

    #[test]
    fn device_targets_and_missing_attributes() {
        let device = NodeDevice {
            vendor: "nvidia".into(),
            kind: "gpu".into(),
            name: "1080ti".into(),
            instances: Vec::new(),
            attributes: [("memory".into(), "11 GiB".into())].into(),
        };
        for (left, operator, right, expected) in [
            ("${device.model}", "=", "1080ti", true),
            ("${device.vendor}", "=", "amd", false),
            ("${device.type}", "!=", "fpga", true),
            ("${device.attr.memory}", ">=", "8 GiB", true),
            ("${device.attr.memory", "is_set", "", true),
            ("${device.attr.cores}", ">", "1", false),
            ("${device.attr.cores}", "!=", "1", true),
            ("${device.attr.cores}", "!=", "${device.attr.speed}", false),
            ("${attr.kernel.name}", "is_set", "", false),
        ] {
            assert_eq!(DeviceRule::parse(left, operator, right).holds(&device), expected, "{left} {operator} {right}");
        }
    }
}

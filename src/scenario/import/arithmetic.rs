//! Arithmetic of job files: a value, or a reason why there is none.
//!
//! The evaluator of expressions computes with machine numbers, and panics or wraps where they end. So its operators are
//! replaced by calls of the functions here, wherever they stand. Nomad computes with 512 bits. Whole numbers are exact
//! here too or an error; all else is a float.

use hcl::Number;
use hcl::edit::Decor;
use hcl::edit::Decorate;
use hcl::edit::Ident;
use hcl::edit::expr::BinaryOperator;
use hcl::edit::expr::Expression;
use hcl::edit::expr::FuncArgs as Args;
use hcl::edit::expr::FuncCall;
use hcl::edit::expr::Object;
use hcl::edit::expr::ObjectKey;
use hcl::edit::expr::UnaryOperator;
use hcl::edit::visit_mut;
use hcl::edit::visit_mut::VisitMut;
use hcl::eval::Error;
use hcl::eval::ErrorKind;
use hcl::eval::FuncArgs;
use hcl::eval::FuncDef;
use hcl::eval::ParamType;

/// The same expression, with calls of [`functions`] for its operators.
pub(super) fn checked(written: &Expression) -> Expression {
    let mut out = written.clone();
    Calls.visit_expr_mut(&mut out);
    out
}

/// What the calls in a [`checked`] expression call.
pub(super) fn functions() -> [(&'static str, FuncDef); 7] {
    let two = || [ParamType::Number, ParamType::Number];
    [
        (ADD, FuncDef::new(|args| binary(&args, add), two())),
        (SUBTRACT, FuncDef::new(|args| binary(&args, subtract), two())),
        (MULTIPLY, FuncDef::new(|args| binary(&args, multiply), two())),
        (DIVIDE, FuncDef::new(|args| binary(&args, divide), two())),
        (REMAINDER, FuncDef::new(|args| binary(&args, remainder), two())),
        (
            NEGATE,
            FuncDef::new(
                |args| number(&args, 0).and_then(|n| subtract(0.into(), n)).map(Into::into),
                [two()[0].clone()],
            ),
        ),
        (LITERAL, FuncDef::new(|_| Err(DIGITS.to_owned()), [])),
    ]
}

/// Why arithmetic has no result and a way out, if that is what is wrong.
pub(super) fn reason(error: &Error) -> Option<(&'static str, &'static str)> {
    let ErrorKind::FuncCall(_, reason) = error.kind() else { return None };
    REASONS.iter().copied().find(|(known, _)| known == reason)
}

// No function of Nomad is called so.
const ADD: &str = "cossim-add";
const SUBTRACT: &str = "cossim-subtract";
const MULTIPLY: &str = "cossim-multiply";
const DIVIDE: &str = "cossim-divide";
const REMAINDER: &str = "cossim-remainder";
const NEGATE: &str = "cossim-negate";
const LITERAL: &str = "cossim-literal";

// Reasons.
const BY_ZERO: &str = "it divides by zero";
const DIGITS: &str = "it needs more digits than cossim computes with";
const TOO_LARGE: &str = "the result is too large";
const REASONS: [(&str, &str); 3] = [
    (BY_ZERO, "divide by a number other than 0"),
    (DIGITS, "whole numbers from -9223372036854775808 to 18446744073709551615 are exact"),
    (TOO_LARGE, "write smaller numbers"),
];

struct Calls;

impl VisitMut for Calls {
    fn visit_expr_mut(&mut self, node: &mut Expression) {
        visit_mut::visit_expr_mut(self, node);
        let (name, operands) = match node {
            Expression::UnaryOp(operation) if *operation.operator.value() == UnaryOperator::Neg => {
                (NEGATE, vec![operation.expr.clone()])
            }
            Expression::BinaryOp(operation) => {
                let name = match operation.operator.value() {
                    BinaryOperator::Plus => ADD,
                    BinaryOperator::Minus => SUBTRACT,
                    BinaryOperator::Mul => MULTIPLY,
                    BinaryOperator::Div => DIVIDE,
                    BinaryOperator::Mod => REMAINDER,
                    _ => return,
                };
                let nothing = || Expression::null();
                let left = std::mem::replace(&mut operation.lhs_expr, nothing());
                (name, vec![left, std::mem::replace(&mut operation.rhs_expr, nothing())])
            }
            Expression::Number(number)
                if number.value().is_f64()
                    && number.as_repr().is_some_and(|repr| is_rounded(repr, *number.value())) =>
            {
                (LITERAL, Vec::new())
            }
            _ => return,
        };
        let mut args = Args::new();
        for mut operand in operands {
            // Comments around it.
            *operand.decor_mut() = Decor::default();
            args.push(operand);
        }
        *node = FuncCall::new(Ident::new(name), args).into();
    }

    fn visit_object_mut(&mut self, node: &mut Object) {
        let mut out = Object::with_capacity(node.len());
        for (mut key, mut value) in std::mem::take(node) {
            if let ObjectKey::Expression(key) = &mut key {
                self.visit_expr_mut(key);
            }
            self.visit_object_value_mut(&mut value);
            out.insert(key, value);
        }
        *node = out;
    }
}

/// Whether a whole number as written is another than the one it was read as.
fn is_rounded(written: &str, read: Number) -> bool {
    let digits = written.trim_start_matches(['-', ' ', '\t']);
    digits.bytes().all(|digit| digit.is_ascii_digit()) && digits.parse::<i128>().ok() != whole(read).map(i128::abs)
}

fn binary(args: &FuncArgs, of: fn(Number, Number) -> Result<Number, String>) -> Result<hcl::Value, String> {
    of(number(args, 0)?, number(args, 1)?).map(Into::into)
}

fn number(args: &FuncArgs, index: usize) -> Result<Number, String> {
    args.get(index).and_then(hcl::Value::as_number).copied().ok_or_else(|| "a number is expected".to_owned())
}

fn add(a: Number, b: Number) -> Result<Number, String> {
    exact_or(a, b, i128::checked_add, |a, b| a + b)
}

fn subtract(a: Number, b: Number) -> Result<Number, String> {
    exact_or(a, b, i128::checked_sub, |a, b| a - b)
}

fn multiply(a: Number, b: Number) -> Result<Number, String> {
    exact_or(a, b, i128::checked_mul, |a, b| a * b)
}

fn divide(a: Number, b: Number) -> Result<Number, String> {
    if float(b) == 0.0 {
        return Err(BY_ZERO.to_owned());
    }
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) if a % b == 0 => of_whole(a / b),
        // No float has a fraction beyond.
        (Some(a), Some(b)) if (a / b).unsigned_abs() >= 1 << 52 => Err(DIGITS.to_owned()),
        _ => of_float(float(a) / float(b)),
    }
}

/// What is left of truncated division, with the sign of `a`.
fn remainder(a: Number, b: Number) -> Result<Number, String> {
    if float(b) == 0.0 {
        return Err(BY_ZERO.to_owned());
    }
    exact_or(a, b, i128::checked_rem, |a, b| a % b)
}

fn exact_or(
    a: Number,
    b: Number,
    exact: fn(i128, i128) -> Option<i128>,
    near: fn(f64, f64) -> f64,
) -> Result<Number, String> {
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => exact(a, b).map_or_else(|| Err(DIGITS.to_owned()), of_whole),
        _ if float(a).fract() == 0.0 && float(b).fract() == 0.0 => Err(DIGITS.to_owned()),
        _ => of_float(near(float(a), float(b))),
    }
}

/// The number if it is whole; beyond [`WHOLE_MAX`] that cannot be told of a float.
fn whole(number: Number) -> Option<i128> {
    let of_float = || Some(float(number)).filter(|float| float.fract() == 0.0 && float.abs() < WHOLE_MAX);
    let small = number.as_u64().map(i128::from).or_else(|| number.as_i64().map(i128::from));
    small.or_else(|| of_float().map(|float| float as i128))
}

/// 2^126: floats below are exact as `i128`.
const WHOLE_MAX: f64 = 85_070_591_730_234_615_865_843_651_857_942_052_864.0;

fn float(number: Number) -> f64 {
    number.as_f64().unwrap_or(0.0)
}

fn of_whole(value: i128) -> Result<Number, String> {
    if let Ok(value) = u64::try_from(value) {
        return Ok(value.into());
    }
    if let Ok(value) = i64::try_from(value) {
        return Ok(value.into());
    }
    let near = value as f64;
    let exact = near.abs() < WHOLE_MAX && near as i128 == value;
    Number::from_f64(near).filter(|_| exact).ok_or_else(|| DIGITS.to_owned())
}

fn of_float(value: f64) -> Result<Number, String> {
    Number::from_f64(value).ok_or_else(|| TOO_LARGE.to_owned())
}

#[cfg(test)]
#[path = "arithmetic_tests.rs"]
mod tests;

//! Parameters of statements, the same for both engines.

use passage_protocol::Millis;

/// A parameter. `None` is a typed NULL.
#[derive(Clone)]
pub enum Value {
    /// `BIGINT`.
    Int(Option<i64>),
    /// `DOUBLE PRECISION`.
    Real(Option<f64>),
    /// `TEXT`.
    Text(Option<String>),
    /// `BYTEA` or `BLOB`.
    Blob(Option<Vec<u8>>),
}

macro_rules! value_from {
    ($($t:ty => $variant:ident($map:expr)),* $(,)?) => {$(
        impl From<$t> for Value {
            fn from(v: $t) -> Self {
                #[allow(clippy::redundant_closure_call)]
                Value::$variant(Some(($map)(v)))
            }
        }
        impl From<Option<$t>> for Value {
            fn from(v: Option<$t>) -> Self {
                Value::$variant(v.map($map))
            }
        }
    )*};
}
value_from! {
    i64 => Int(|v| v), u32 => Int(i64::from), u16 => Int(i64::from), u8 => Int(i64::from), i8 => Int(i64::from), i32 => Int(i64::from),
    bool => Int(i64::from), u64 => Int(|v| i64::try_from(v).unwrap_or(i64::MAX)), Millis => Int(|m: Millis| m.0),
    f64 => Real(|v| v), f32 => Real(f64::from),
    &str => Text(str::to_owned), String => Text(|v| v), &String => Text(String::clone),
    Vec<u8> => Blob(|v| v), &[u8] => Blob(<[u8]>::to_vec), [u8; 32] => Blob(|v: [u8; 32]| v.to_vec()), &[u8; 32] => Blob(|v: &[u8; 32]| v.to_vec()),
}

/// Parameters of a statement: `args![member, at, "text"]`.
#[macro_export]
macro_rules! args {
    ($($value:expr),* $(,)?) => { vec![$($crate::store::Value::from($value)),*] };
}

//! Values of foreign headers as bytes: text as it is, everything else as it is written in JSON.

use bytes::Bytes;
use lapin::types::AMQPValue;
use serde_json::Value;

/// The bytes of a header's value.
pub(crate) fn bytes_of(value: &AMQPValue) -> Bytes {
    match value {
        AMQPValue::LongString(text) => Bytes::copy_from_slice(text.as_bytes()),
        AMQPValue::ShortString(text) => Bytes::copy_from_slice(text.as_str().as_bytes()),
        AMQPValue::ByteArray(bytes) => Bytes::copy_from_slice(bytes.as_slice()),
        AMQPValue::Void => Bytes::new(),
        other => Bytes::from(json_of(other).to_string()),
    }
}

fn json_of(value: &AMQPValue) -> Value {
    match value {
        AMQPValue::Boolean(value) => Value::from(*value),
        AMQPValue::ShortShortInt(value) => Value::from(*value),
        AMQPValue::ShortShortUInt(value) => Value::from(*value),
        AMQPValue::ShortInt(value) => Value::from(*value),
        AMQPValue::ShortUInt(value) => Value::from(*value),
        AMQPValue::LongInt(value) => Value::from(*value),
        AMQPValue::LongUInt(value) => Value::from(*value),
        AMQPValue::LongLongInt(value) => Value::from(*value),
        AMQPValue::Float(value) => Value::from(*value),
        AMQPValue::Double(value) => Value::from(*value),
        AMQPValue::Timestamp(value) => Value::from(*value),
        AMQPValue::DecimalValue(value) => Value::from(format!("{}e-{}", value.value, value.scale)),
        AMQPValue::FieldArray(values) => values.as_slice().iter().map(json_of).collect(),
        AMQPValue::FieldTable(table) => {
            let pairs = table.inner().iter().map(|(name, value)| (name.as_str().to_owned(), json_of(value)));
            Value::Object(pairs.collect())
        }
        text => Value::from(String::from_utf8_lossy(&bytes_of(text)).into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use lapin::types::{FieldArray, FieldTable};

    use super::*;

    #[test]
    fn foreign_values_are_readable() {
        let mut table = FieldTable::default();
        table.insert("n".into(), AMQPValue::LongInt(1));
        let mut array = FieldArray::default();
        array.push(AMQPValue::LongString("a".into()));
        array.push(AMQPValue::FieldTable(table));
        for (value, expected) in [
            (AMQPValue::LongString("주문".into()), "주문"),
            (AMQPValue::Boolean(true), "true"),
            (AMQPValue::LongLongInt(-3), "-3"),
            (AMQPValue::Void, ""),
            (AMQPValue::FieldArray(array), "[\"a\",{\"n\":1}]"),
        ] {
            assert_eq!(bytes_of(&value), Bytes::copy_from_slice(expected.as_bytes()));
        }
    }
}

//! Replies as text, for expectations and messages.

use resp::Value;

/// A reply on one line, each type in a form of its own: `+OK`, `-ERR text`, `:1`, `"bulk\r\n"`, `nil` for `$-1`,
/// `nil[]` for `*-1`, `null` for `_`, `#t`, `,1.5`, `(123`, `!"bulk error"`, `=txt:"text"`, `[a, b]`, `~[set]`,
/// `>[push]`, `{key: value}`, `|{attribute: value} reply`.
pub fn show(value: &Value) -> String {
    match value {
        Value::Simple(text) => format!("+{}", text.escape_ascii()),
        Value::Error(text) => format!("-{}", text.escape_ascii()),
        Value::BulkError(text) => format!("!\"{}\"", text.escape_ascii()),
        Value::Int(value) => format!(":{value}"),
        Value::Bulk(bytes) => format!("\"{}\"", bytes.escape_ascii()),
        Value::Null => "null".to_owned(),
        Value::NullBulk => "nil".to_owned(),
        Value::NullArray => "nil[]".to_owned(),
        Value::Bool(value) => if *value { "#t" } else { "#f" }.to_owned(),
        Value::Double(value) => {
            let mut text = b",".to_vec();
            stdx::number::format_f64(*value, &mut text);
            text.escape_ascii().to_string()
        }
        Value::BigNumber(digits) => format!("({digits}"),
        Value::Verbatim(format, text) => format!("={}:\"{}\"", format.escape_ascii(), text.escape_ascii()),
        Value::Array(elements) => format!("[{}]", list(elements)),
        Value::Set(elements) => format!("~[{}]", list(elements)),
        Value::Push(elements) => format!(">[{}]", list(elements)),
        Value::Map(pairs) => map(pairs),
        Value::Attribute(pairs, value) => format!("|{} {}", map(pairs), show(value)),
    }
}

fn list(elements: &[Value]) -> String {
    elements.iter().map(show).collect::<Vec<_>>().join(", ")
}

fn map(pairs: &[(Value, Value)]) -> String {
    let pairs: Vec<String> =
        pairs.iter().map(|(key, value)| format!("{}: {}", show(key), show(value))).collect();
    format!("{{{}}}", pairs.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_of_every_kind_look_different() {
        let bulk = || Value::Bulk(b"a\r".to_vec());
        let check = |value: Value, expected: &str| assert_eq!(show(&value), expected);
        check(Value::Simple(b"OK".to_vec()), "+OK");
        check(Value::Error(b"ERR x".to_vec()), "-ERR x");
        check(Value::Int(1), ":1");
        check(bulk(), "\"a\\r\"");
        check(Value::NullBulk, "nil");
        check(Value::NullArray, "nil[]");
        check(Value::Null, "null");
        check(Value::Bool(true), "#t");
        check(Value::Double(1.5), ",1.5");
        check(Value::Verbatim(*b"txt", b"a".to_vec()), "=txt:\"a\"");
        check(Value::Array(vec![bulk(), Value::Array(vec![])]), "[\"a\\r\", []]");
        check(Value::Map(vec![(Value::Int(1), Value::Set(vec![]))]), "{:1: ~[]}");
        check(Value::Attribute(vec![], Box::new(Value::Push(vec![Value::Int(1)]))), "|{} >[:1]");
    }
}

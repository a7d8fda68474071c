//! Checks that values read belong to the keys that were asked for: `--verify` writes values made of their key.

use super::keys::KeyNames;
use super::value::expected;

/// Checks one whole reply (its framing is already known to be right) of a command that read `keys`. Nulls are no
/// faults: the key may be gone. Errors: what differs, for a person to read.
pub fn check_values(reply: &[u8], keys: &[u64], names: &KeyNames) -> Result<(), String> {
    let mut rest = reply;
    if rest.first() == Some(&b'*') {
        let count = take_length(&mut rest);
        if count != Some(keys.len()) {
            return Err(format!("{} values were asked for and {count:?} came", keys.len()));
        }
    }
    let mut wanted = Vec::new();
    for &key in keys {
        let name = |key| {
            let mut name = Vec::new();
            names.write(key, &mut name);
            String::from_utf8_lossy(&name).into_owned()
        };
        match rest.first() {
            Some(b'_') => rest = rest.get(3..).unwrap_or_default(),
            Some(b'$') => {
                let Some(size) = take_length(&mut rest) else { continue };
                let Some(value) = rest.get(..size) else { return Err(format!("{}: value cut", name(key))) };
                wanted.clear();
                expected(key, size, names, &mut wanted);
                if value != wanted {
                    let shown = String::from_utf8_lossy(&value[..size.min(SHOWN_BYTES)]);
                    return Err(format!("key {} has the value '{shown}'", name(key)));
                }
                rest = rest.get(size + 2..).unwrap_or_default();
            }
            _ => return Err(format!("key {}: the reply is no value", name(key))),
        }
    }
    Ok(())
}

/// Takes a header line off `rest`; `None` for a null.
fn take_length(rest: &mut &[u8]) -> Option<usize> {
    let end = rest.iter().position(|&byte| byte == b'\n')?;
    let number = std::str::from_utf8(&rest[1..end - 1]).ok()?.parse().ok();
    *rest = &rest[end + 1..];
    number
}

/// How much of a wrong value is shown.
const SHOWN_BYTES: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(reply: &[u8], keys: &[u64], expected: Result<(), &str>) {
        let names = KeyNames::new("k", 2, 10).unwrap();
        assert_eq!(check_values(reply, keys, &names), expected.map_err(str::to_owned));
    }

    #[test]
    fn values_of_their_keys_and_nulls_pass() {
        check(b"$5\r\nk3|k3\r\n", &[3], Ok(()));
        check(b"$0\r\n\r\n", &[3], Ok(()));
        check(b"$-1\r\n", &[3], Ok(()));
        check(b"_\r\n", &[3], Ok(()));
        check(b"*3\r\n$3\r\nk1|\r\n$-1\r\n$3\r\nk2|\r\n", &[1, 9, 2], Ok(()));
        check(b"*2\r\n_\r\n$3\r\nk2|\r\n", &[1, 2], Ok(()));
    }

    #[test]
    fn another_keys_value_is_a_fault() {
        check(b"$5\r\nk4|k4\r\n", &[3], Err("key k3 has the value 'k4|k4'"));
        check(b"*2\r\n$2\r\nk1\r\n$2\r\nk1\r\n", &[1, 2], Err("key k2 has the value 'k1'"));
        check(b"*1\r\n$2\r\nk1\r\n", &[1, 2], Err("2 values were asked for and Some(1) came"));
        check(b":1\r\n", &[1], Err("key k1: the reply is no value"));
    }
}

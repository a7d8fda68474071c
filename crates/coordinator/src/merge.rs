//! One reply out of the replies of several shards.

use commands::Merge;

/// Where each key of the command went: the part (an index into the parts) that holds it, in the order of the keys.
pub type KeyOrder<'a> = &'a [u16];

/// Appends to `out` the reply made of `parts`, whole RESP replies in the order of the shards. An error in any part is
/// the reply. [`Merge::Custom`] is the caller's to run, once [`first_error`] has found none.
pub fn merge(how: Merge, parts: &[&[u8]], keys: KeyOrder<'_>, out: &mut Vec<u8>) {
    if let Some(error) = first_error(parts) {
        return out.extend_from_slice(error);
    }
    match how {
        Merge::First => out.extend_from_slice(parts[0]),
        Merge::Sum => {
            let sum: i64 = parts.iter().map(|part| header(part).0).sum();
            line(b':', sum, out);
        }
        Merge::Concat => {
            let total = parts.iter().map(|part| header(part).0).sum();
            line(parts[0][0], total, out);
            for part in parts {
                out.extend_from_slice(&part[header(part).1..]);
            }
        }
        Merge::PerKey => {
            let mut rest: Vec<&[u8]> = parts.iter().map(|part| &part[header(part).1..]).collect();
            line(b'*', keys.len() as i64, out);
            for &part in keys {
                let (element, after) = rest[part as usize].split_at(element_len(rest[part as usize]));
                out.extend_from_slice(element);
                rest[part as usize] = after;
            }
        }
        Merge::Custom(_) => unreachable!("a custom merge runs at home, with a context"),
    }
}

/// The first error among `parts`.
pub fn first_error<'a>(parts: &[&'a [u8]]) -> Option<&'a [u8]> {
    parts.iter().copied().find(|part| part.first() == Some(&b'-'))
}

/// The number in the first line of a reply, and that line's length with its CRLF.
fn header(reply: &[u8]) -> (i64, usize) {
    let end = reply.iter().position(|&byte| byte == b'\r').expect("a reply of ours has a first line");
    let number = std::str::from_utf8(&reply[1..end]).ok().and_then(|text| text.parse().ok());
    (number.expect("the first line of a mergeable reply is a number"), end + 2)
}

/// Length in bytes of the reply that `resp` begins with.
fn element_len(resp: &[u8]) -> usize {
    let first = resp.iter().position(|&byte| byte == b'\r').expect("a reply of ours has a first line") + 2;
    let children = match resp[0] {
        b'$' | b'=' => {
            let len = header(resp).0;
            return if len < 0 { first } else { first + len as usize + 2 };
        }
        b'*' | b'~' | b'>' => header(resp).0.max(0),
        b'%' => header(resp).0 * 2,
        _ => 0,
    };
    (0..children).fold(first, |at, _| at + element_len(&resp[at..]))
}

fn line(kind: u8, number: i64, out: &mut Vec<u8>) {
    out.push(kind);
    out.extend_from_slice(number.to_string().as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(how: Merge, parts: &[&str], keys: &[u16], expected: &str) {
        let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
        let mut out = Vec::new();
        merge(how, &parts, keys, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn integers_are_summed() {
        check(Merge::Sum, &[":2\r\n", ":0\r\n", ":40\r\n"], &[], ":42\r\n");
    }

    #[test]
    fn an_error_of_any_shard_is_the_reply() {
        check(Merge::Sum, &[":2\r\n", "-OOM no\r\n"], &[], "-OOM no\r\n");
        check(Merge::First, &["+OK\r\n", "-OOM no\r\n"], &[], "-OOM no\r\n");
    }

    #[test]
    fn arrays_are_joined() {
        check(
            Merge::Concat,
            &["*1\r\n$1\r\na\r\n", "*0\r\n", "*1\r\n:7\r\n"],
            &[],
            "*2\r\n$1\r\na\r\n:7\r\n",
        );
    }

    #[test]
    fn elements_return_to_the_order_of_their_keys() {
        let parts = ["*2\r\n$1\r\na\r\n$-1\r\n", "*3\r\n_\r\n*2\r\n:1\r\n$0\r\n\r\n:9\r\n"];
        let expected = "*5\r\n_\r\n$1\r\na\r\n*2\r\n:1\r\n$0\r\n\r\n$-1\r\n:9\r\n";
        check(Merge::PerKey, &parts, &[1, 0, 1, 0, 1], expected);
    }
}

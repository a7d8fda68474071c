use super::*;
use crate::reply::{Proto, Reply};
use proptest::prelude::*;

/// All values in `input`, which arrives in pieces of the given lengths and then in one.
fn decode(bounds: Bounds, input: &[u8], cuts: &[usize]) -> Result<(Vec<Value>, bool), DecodeError> {
    let mut decoder = Decoder::new(bounds);
    let mut values = Vec::new();
    let mut rest = input;
    let mut cuts = cuts.iter();
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(cuts.next().map_or(rest.len(), |cut| rest.len().min(*cut)));
        decoder.feed(piece);
        rest = after;
        while let Some(value) = decoder.next()? {
            values.push(value);
        }
    }
    Ok((values, decoder.is_empty()))
}

#[track_caller]
#[allow(clippy::needless_pass_by_value)]
fn check(input: impl AsRef<[u8]>, expected: Value) {
    let input = input.as_ref();
    let want = Ok((vec![expected.clone()], true));
    assert_eq!(decode(Bounds::default(), input, &[]), want);
    assert_eq!(decode(Bounds::default(), input, &vec![1; input.len()]), want);
    let mut encoded = Vec::new();
    expected.encode(&mut encoded);
    assert_eq!(encoded.escape_ascii().to_string(), input.escape_ascii().to_string());
}

#[track_caller]
fn check_error(input: impl AsRef<[u8]>, expected: DecodeError) {
    let bounds = Bounds { bulk_len_max: 10, elements_max: 10, depth_max: 3, line_max: 24 };
    assert_eq!(decode(bounds, input.as_ref(), &[]), Err(expected));
}

fn bulk(text: &str) -> Value {
    Value::Bulk(text.as_bytes().to_vec())
}

#[test]
fn every_type_is_read() {
    check("+OK\r\n", Value::Simple(b"OK".to_vec()));
    check("-ERR no\r\n", Value::Error(b"ERR no".to_vec()));
    check(":-12\r\n", Value::Int(-12));
    check("$5\r\na\r\nbc\r\n", bulk("a\r\nbc"));
    check("$0\r\n\r\n", bulk(""));
    check("$-1\r\n", Value::NullBulk);
    check("*-1\r\n", Value::NullArray);
    check("_\r\n", Value::Null);
    check("#t\r\n", Value::Bool(true));
    check("#f\r\n", Value::Bool(false));
    check(",1.5\r\n", Value::Double(1.5));
    check(",-inf\r\n", Value::Double(f64::NEG_INFINITY));
    check("(-12345678901234567890123\r\n", Value::BigNumber("-12345678901234567890123".into()));
    check("!5\r\nERR x\r\n", Value::BulkError(b"ERR x".to_vec()));
    check("=6\r\ntxt:hi\r\n", Value::Verbatim(*b"txt", b"hi".to_vec()));
    check("*0\r\n", Value::Array(vec![]));
    check("*2\r\n:1\r\n*1\r\n_\r\n", Value::Array(vec![Value::Int(1), Value::Array(vec![Value::Null])]));
    check(
        "%1\r\n+k\r\n~1\r\n:1\r\n",
        Value::Map(vec![(Value::Simple(b"k".to_vec()), Value::Set(vec![Value::Int(1)]))]),
    );
    check(">2\r\n$1\r\na\r\n%0\r\n", Value::Push(vec![bulk("a"), Value::Map(vec![])]));
    check(
        "|1\r\n$1\r\na\r\n:1\r\n:2\r\n",
        Value::Attribute(vec![(bulk("a"), Value::Int(1))], Value::Int(2).into()),
    );
}

#[test]
fn not_a_number_is_read_as_such() {
    let (values, _) = decode(Bounds::default(), b",nan\r\n", &[]).expect("it is a double");
    assert!(matches!(values[..], [Value::Double(value)] if value.is_nan()), "{values:?}");
}

#[test]
fn attributes_inside_an_array_count_with_their_value() {
    let (values, whole) =
        decode(Bounds::default(), b"*2\r\n|1\r\n+a\r\n+b\r\n:1\r\n:2\r\n+next\r\n", &[]).expect("valid");
    assert!(whole);
    assert!(matches!(&values[0], Value::Array(elements) if elements.len() == 2), "{values:?}");
    assert_eq!(values[1], Value::Simple(b"next".to_vec()));
}

#[test]
fn what_is_no_reply_is_refused() {
    let bad = |line: &str| DecodeError::BadLine(line.as_bytes().to_vec());
    check_error("hello\r\n", DecodeError::UnknownType(b'h'));
    check_error("\r\n", DecodeError::NoLineEnd);
    check_error("+OK\n", DecodeError::NoLineEnd);
    check_error("$1\r\naXX", DecodeError::NoLineEnd);
    check_error(":1x\r\n", bad(":1x"));
    check_error(":\r\n", bad(":"));
    check_error("$?\r\n", bad("$?"));
    check_error("$-2\r\n", bad("$-2"));
    check_error("*-2\r\n", bad("*-2"));
    check_error("%-1\r\n", bad("%-1"));
    check_error("_x\r\n", bad("_x"));
    check_error("#x\r\n", bad("#x"));
    check_error(",x\r\n", bad(",x"));
    check_error("(1.5\r\n", bad("(1.5"));
    check_error("=3\r\ntxt\r\n", bad("txt"));
}

#[test]
fn what_is_past_the_bounds_is_refused_before_it_is_stored() {
    let too_large = |what, got, max| DecodeError::TooLarge { what, got, max };
    check_error("$11\r\n", too_large("a string", 11, 10));
    check_error("*11\r\n", too_large("an aggregate", 11, 10));
    check_error("%6\r\n", too_large("an aggregate", 12, 10));
    check_error("%18446744073709551615\r\n", too_large("an aggregate", u64::MAX, 10));
    check_error("+".repeat(25), too_large("a line", 25, 24));
    check_error("*1\r\n*1\r\n*1\r\n*1\r\n", DecodeError::TooDeep(3));
}

#[test]
fn bytes_behind_a_reply_are_left_for_whoever_reads_on() {
    let mut decoder = Decoder::new(Bounds::default());
    decoder.feed(b"+FULLRESYNC\r\nraw");
    assert_eq!(decoder.next(), Ok(Some(Value::Simple(b"FULLRESYNC".to_vec()))));
    assert_eq!(decoder.rest(), b"raw");
    assert!(!decoder.is_empty());
}

#[test]
fn long_streams_do_not_pile_up() {
    let mut decoder = Decoder::new(Bounds::default());
    let piece = b"$10\r\n0123456789\r\n$10\r\n01234".repeat(100);
    let mut encoded = Vec::new();
    bulk("0123456789").encode(&mut encoded);
    for _ in 0..1000 {
        decoder.feed(&encoded.repeat(100));
        decoder.feed(&encoded[..7]);
        while decoder.next().expect("valid").is_some() {}
        decoder.feed(&encoded[7..]);
        assert!(decoder.buf.len() < 2 * COMPACT_MIN + 2 * piece.len(), "{}", decoder.buf.len());
    }
}

#[test]
fn replies_written_by_the_server_are_read_back() {
    let mut out = Vec::new();
    for proto in [Proto::Resp2, Proto::Resp3] {
        let mut reply = Reply::new(&mut out, proto);
        let at = reply.deferred();
        reply.int(-5);
        reply.bulk(b"x");
        reply.null();
        reply.double(0.5);
        reply.verbatim("txt", b"v");
        reply.map(1);
        reply.bool(true);
        reply.null_array();
        reply.close_array(at, 6);
    }
    let resp2 = [Value::Int(1), Value::NullArray];
    let resp3 = (Value::Bool(true), Value::Null);
    let tail2 = [Value::NullBulk, bulk("0.5"), bulk("v"), Value::Array(resp2.to_vec())];
    let tail3 =
        [Value::Null, Value::Double(0.5), Value::Verbatim(*b"txt", b"v".to_vec()), Value::Map(vec![resp3])];
    let expected = [tail2, tail3].map(|tail| {
        let head = [Value::Int(-5), bulk("x")];
        Value::Array(head.into_iter().chain(tail).collect())
    });
    assert_eq!(decode(Bounds::default(), &out, &[]), Ok((expected.to_vec(), true)));
}

fn value() -> impl Strategy<Value = Value> {
    let text = || "[ -~]{0,12}".prop_map(String::into_bytes);
    let leaf = prop_oneof![
        text().prop_map(Value::Simple),
        text().prop_map(Value::Error),
        any::<i64>().prop_map(Value::Int),
        any::<Vec<u8>>().prop_map(Value::Bulk),
        any::<Vec<u8>>().prop_map(Value::BulkError),
        Just(Value::Null),
        Just(Value::NullBulk),
        Just(Value::NullArray),
        any::<bool>().prop_map(Value::Bool),
        any::<f64>().prop_filter("equal to itself", |value| !value.is_nan()).prop_map(Value::Double),
        "-?[0-9]{1,40}".prop_map(Value::BigNumber),
        (any::<[u8; 3]>(), any::<Vec<u8>>()).prop_map(|(format, text)| Value::Verbatim(format, text)),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let list = || prop::collection::vec(inner.clone(), 0..6);
        let pairs = || prop::collection::vec((inner.clone(), inner.clone()), 0..4);
        prop_oneof![
            list().prop_map(Value::Array),
            list().prop_map(Value::Set),
            list().prop_map(Value::Push),
            pairs().prop_map(Value::Map),
            (pairs(), inner.clone()).prop_map(|(pairs, value)| Value::Attribute(pairs, Box::new(value))),
        ]
    })
}

proptest! {
    #[test]
    fn encoded_values_come_back(values in prop::collection::vec(value(), 0..5), cuts in prop::collection::vec(1usize..20, 0..50)) {
        let mut input = Vec::new();
        values.iter().for_each(|value| value.encode(&mut input));
        prop_assert_eq!(decode(Bounds::default(), &input, &cuts), Ok((values, true)));
    }

    #[test]
    fn random_bytes_never_panic(input in any::<Vec<u8>>(), cuts in prop::collection::vec(1usize..9, 0..20)) {
        let whole = decode(Bounds::default(), &input, &[]);
        let in_pieces = decode(Bounds::default(), &input, &cuts);
        prop_assert_eq!(whole.is_ok(), in_pieces.is_ok());
    }
}

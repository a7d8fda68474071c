use super::*;
use proptest::prelude::*;

/// What a parser made of some bytes: commands, then the error if there was one.
#[derive(Debug, Default, PartialEq)]
struct Read {
    commands: Vec<Vec<Vec<u8>>>,
    error: Option<ProtocolError>,
    left: usize,
}

/// Reads `input`, which arrives in pieces that end at `cuts` (each relative to the piece before).
fn read(limits: Limits, input: &[u8], cuts: impl IntoIterator<Item = usize>) -> Read {
    let mut parser = Parser::new(limits);
    let (mut read, mut args) = (Read::default(), Vec::new());
    let (mut start, mut arrived) = (0, 0);
    let mut cuts = cuts.into_iter();
    while arrived < input.len() {
        arrived = cuts.next().map_or(input.len(), |cut| (arrived + cut).min(input.len()));
        loop {
            // Moved each time, as a connection's buffer may be.
            let buf = input[start..arrived].to_vec();
            let bytes = match parser.parse(&buf, &mut args) {
                Ok(Parsed::Incomplete { needs }) => {
                    assert!(needs > 0, "an incomplete command needs something");
                    break;
                }
                Ok(Parsed::Empty { len }) => {
                    start += len;
                    continue;
                }
                Ok(Parsed::Command { len }) => {
                    start += len;
                    buf[..len].to_vec()
                }
                Ok(Parsed::Inline { len }) => {
                    start += len;
                    parser.inline().to_vec()
                }
                Err(error) => {
                    return Read { error: Some(error), left: 0, ..read };
                }
            };
            let args = stdx::Args::new(&bytes, &args);
            read.commands.push(args.iter().map(<[u8]>::to_vec).collect());
        }
        read.left = arrived - start;
    }
    read
}

#[track_caller]
fn check(input: impl AsRef<[u8]>, expected: &[&[&str]]) {
    let input = input.as_ref();
    let expected: Vec<Vec<Vec<u8>>> =
        expected.iter().map(|command| command.iter().map(|arg| arg.as_bytes().to_vec()).collect()).collect();
    for step in [usize::MAX / 2, 1, 7] {
        let got = read(Limits::default(), input, std::iter::repeat(step));
        assert_eq!(got, Read { commands: expected.clone(), error: None, left: 0 }, "in steps of {step}");
    }
}

#[track_caller]
fn check_error(limits: Limits, input: impl AsRef<[u8]>, expected: &str) {
    let input = input.as_ref();
    for step in [usize::MAX / 2, 1, 7] {
        let got = read(limits, input, std::iter::repeat(step));
        let mut reply = Vec::new();
        got.error.expect("the input breaks the protocol").write(&mut reply);
        assert_eq!(reply.escape_ascii().to_string(), format!("-ERR Protocol error: {expected}\\r\\n"));
    }
}

#[track_caller]
fn check_incomplete(input: impl AsRef<[u8]>, needs: usize) {
    let got = Parser::new(Limits::default()).parse(input.as_ref(), &mut Vec::new());
    assert_eq!(got, Ok(Parsed::Incomplete { needs }), "{}", input.as_ref().escape_ascii());
}

#[test]
fn commands_of_bulk_strings() {
    check("*1\r\n$4\r\nPING\r\n", &[&["PING"]]);
    check("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n", &[&["SET", "k", ""]]);
    check("*2\r\n$4\r\nECHO\r\n$4\r\n\r\n\r\n\r\n*1\r\n$1\r\nx\r\n", &[&["ECHO", "\r\n\r\n"], &["x"]]);
    for count in [1, 9, 10, 99, 100, 1000] {
        let input = format!("*{count}\r\n{}", "$1\r\na\r\n".repeat(count));
        check(input, &[&vec!["a"; count]]);
    }
    for len in [9, 10, 99, 100, 999, 1000, 9999, 10000] {
        let text = "x".repeat(len);
        check(format!("*2\r\n$1\r\na\r\n${len}\r\n{text}\r\n"), &[&["a", &text]]);
    }
}

#[test]
fn short_commands_take_the_way_without_state() {
    let check = |count: usize, len: usize, expected: bool| {
        let mut input = Vec::new();
        crate::encode_command(&vec!["x".repeat(len); count], &mut input);
        let args = &mut Vec::new();
        let got = whole(&input, &Limits::default(), args);
        assert_eq!(got, expected.then_some(input.len()), "{count} arguments of {len} bytes");
        assert_eq!(whole(&input[..input.len() - 1], &Limits::default(), args), None);
    };
    for (count, len) in [(1, 4), (3, 16), (9, 99), (10, 100), (99, 999), (2, 1000), (2, 9999)] {
        check(count, len, true);
    }
    check(100, 1, false);
    check(1, 10_000, false);
}

#[test]
fn second_byte_of_a_line_end_is_not_looked_at() {
    check("*1\rX$4\rYPINGab*1\r\n$1\r\nx\r\n", &[&["PING"], &["x"]]);
}

#[test]
fn arrays_of_nothing_and_blank_lines_are_skipped() {
    check("*0\r\n*-1\r\n*-5\r\n\r\n\n  \t\r\nPING\r\n", &[&["PING"]]);
}

#[test]
fn inline_commands_are_split_into_words() {
    check("PING\r\n", &[&["PING"]]);
    check("  set  k \"a \\x41\\n\" \n", &[&["set", "k", "a A\n"]]);
    check("a\rb\r\n", &[&["a", "b"]]);
    check("a\r\r\n", &[&["a"]]);
    check("SET k ''\n*1\r\n$4\r\nPING\r\n", &[&["SET", "k", ""], &["PING"]]);
}

#[test]
fn incomplete_commands_say_what_they_need() {
    check_incomplete("", 1);
    check_incomplete("*", 1);
    check_incomplete("*1\r", 1);
    check_incomplete("*1\r\n", 1);
    check_incomplete("*1\r\nx", 1);
    check_incomplete("*1\r\n$4\r\nPI", 4);
    check_incomplete("*1\r\n$4\r\nPING\r", 1);
    check_incomplete("*2147483647\r\n", 1);
    check_incomplete("*1\r\n$536870912\r\n", 536870914);
    check_incomplete("PING", 1);
    check_incomplete(b"x".repeat(65536), 1);
    check_incomplete(b"*".repeat(65536), 1);
}

#[test]
fn counts_are_strict_numbers_within_their_bound() {
    let check = |input: &str| check_error(Limits::default(), input, "invalid multibulk length");
    for count in ["a", "", "01", " 1", "1 ", "+1", "-0", "2147483648", "99999999999999999999"] {
        check(&format!("*{count}\r\n"));
    }
}

#[test]
fn lengths_are_strict_numbers_within_their_bound() {
    let check = |input: &str| check_error(Limits::default(), input, "invalid bulk length");
    for len in ["a", "", "04", "-1", "+1", "-0", "536870913", "99999999999999999999"] {
        check(&format!("*1\r\n${len}\r\n"));
        check(&format!("*3\r\n$1\r\na\r\n${len}\r\n"));
    }
    let limits = Limits { bulk_len_max: 5, multibulk_max: 2, ..Limits::default() };
    check_error(limits, "*1\r\n$6\r\nabcdef\r\n", "invalid bulk length");
    check_error(limits, "*3\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n", "invalid multibulk length");
}

#[test]
fn command_of_more_than_four_gib_is_refused() {
    let limits = Limits { bulk_len_max: usize::MAX / 2, ..Limits::default() };
    check_error(limits, format!("*1\r\n${}\r\n", u32::MAX), "invalid bulk length");
}

#[test]
fn argument_without_a_dollar_is_shown() {
    let check = |input: &[u8], shown: &str| {
        check_error(Limits::default(), input, &format!("expected \\'$\\', got \\'{shown}\\'"));
    };
    check(b"*1\r\nx\r\n", "x");
    check(b"*3\r\n$3\r\nSET\r\n+1\r\n", "+");
    check(b"*1\r\n\r\n\r\n", " ");
    check(b"*1\r\n\n\r\n", " ");
    check(b"*1\r\n\xff\r\n", "\\xff");
}

#[test]
fn lines_without_an_end_are_too_big() {
    let digits = "1".repeat(65536);
    check_error(Limits::default(), format!("*{digits}"), "too big mbulk count string");
    check_error(Limits::default(), format!("*1\r\n${digits}"), "too big bulk count string");
    check_error(Limits::default(), format!("a{digits}"), "too big inline request");
    check_error(Limits::default(), format!("a{digits}\r\n"), "too big inline request");
}

/// Redis waits for 64 KiB of it, since it takes the NUL for the end of what has come.
#[test]
fn a_line_that_begins_with_nul_is_no_command() {
    for input in ["\0", "\0\r\n", "\0PING\r\n", "\0*1\r\n$4\r\nPING\r\n"] {
        check_error(Limits::default(), input, "unexpected NUL byte");
    }
    check("ECHO \"a\0b\"\r\n", &[&["ECHO", "a\0b"]]);
}

#[test]
fn quotes_of_inline_commands_must_balance() {
    check_error(Limits::default(), "\"abc\r\n", "unbalanced quotes in request");
    check_error(Limits::default(), "'a'b\r\n", "unbalanced quotes in request");
}

#[test]
fn unauthenticated_clients_have_narrower_limits() {
    let limits = Limits { unauthenticated: true, ..Limits::default() };
    check_error(limits, "*11\r\n", "unauthenticated multibulk length");
    check_error(limits, "*2\r\n$4\r\nAUTH\r\n$16385\r\n", "unauthenticated bulk length");
    check_error(limits, "*99999999999\r\n", "invalid multibulk length");
    check_error(limits, "*1\r\n$536870913\r\n", "invalid bulk length");
    let input = "*10\r\n".to_owned() + &format!("$16384\r\n{}\r\n", "x".repeat(16384)).repeat(10);
    assert_eq!(read(limits, input.as_bytes(), []).commands.len(), 1);
}

#[test]
fn limits_change_between_two_commands() {
    let limits = Limits { unauthenticated: true, ..Limits::default() };
    let mut parser = Parser::new(limits);
    let args = &mut Vec::new();
    let input = b"*11\r\n";
    assert_eq!(parser.parse(input, args), Err(ProtocolError::UnauthenticatedMultibulkLength));
    parser.set_limits(Limits { unauthenticated: false, ..parser.limits() });
    assert_eq!(parser.parse(input, args), Ok(Parsed::Incomplete { needs: 1 }));
}

#[test]
fn many_arguments_are_not_read_again_for_every_piece() {
    const ARGS: usize = 200_000;
    let mut input = Vec::new();
    crate::encode_command(&vec!["0123456789"; ARGS], &mut input);
    let mut parser = Parser::new(Limits::default());
    let mut args = Vec::new();
    let mut arrived = 0;
    // A parser that starts over for each of the 213,000 pieces would look at 2 * 10^10 arguments.
    let len = loop {
        arrived = (arrived + 16).min(input.len());
        match parser.parse(&input[..arrived], &mut args) {
            Ok(Parsed::Command { len }) => break len,
            Ok(Parsed::Incomplete { .. }) => assert!(arrived < input.len(), "all of it is there"),
            other => panic!("not a command: {other:?}"),
        }
    };
    assert_eq!((len, args.len()), (input.len(), ARGS));
    assert!(stdx::Args::new(&input, &args).iter().all(|arg| arg == b"0123456789"));
}

#[test]
fn connections_may_share_the_list_of_arguments() {
    let mut input = Vec::new();
    crate::encode_command(&["x"; 100], &mut input);
    let (mut one, mut other) = (Parser::new(Limits::default()), Parser::new(Limits::default()));
    let mut args = Vec::new();
    let half = input.len() / 2;
    for parser in [&mut one, &mut other] {
        assert!(matches!(parser.parse(&input[..half], &mut args), Ok(Parsed::Incomplete { .. })));
    }
    for parser in [&mut one, &mut other] {
        assert_eq!(parser.parse(&input, &mut args), Ok(Parsed::Command { len: input.len() }));
        assert_eq!(args.len(), 100);
        assert_eq!(parser.parse(b"*1\r\n$1\r\na\r\n", &mut args), Ok(Parsed::Command { len: 11 }));
        assert_eq!(args, [Span { start: 8, len: 1 }]);
    }
}

fn pieces() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(1usize..30, 0..40)
}

/// Bytes that look enough like requests to get past the first line.
fn almost_requests() -> impl Strategy<Value = Vec<u8>> {
    let parts: &[&[u8]] = &[
        b"*",
        b"$",
        b"\r\n",
        b"\r",
        b"\n",
        b"0",
        b"1",
        b"2",
        b"3",
        b"-1",
        b"10",
        b"*1\r\n",
        b"*2\r\n$1\r\na\r\n",
        b"$3\r\nfoo\r\n",
        b"PING\r\n",
        b"\"",
        b"'",
        b" ",
        b"\\x41",
        b"\0",
        b"\xff",
        b"*20\r\n",
        b"99999999999",
    ];
    prop::collection::vec(prop::sample::select(parts), 0..40).prop_map(|parts| parts.concat())
}

/// A command with a large argument in place `large`, its first bytes read in steps, that argument put in front.
#[track_caller]
fn in_front(parts: &[&[u8]], large: usize, behind: &[u8]) {
    let mut input = Vec::new();
    crate::encode_command(parts, &mut input);
    let whole_len = input.len();
    input.extend_from_slice(behind);
    let (mut parser, mut args) = (Parser::new(Limits::default()), Vec::new());
    let mut read = 0;
    let open = loop {
        read = (read + 7).min(whole_len - 1);
        assert!(matches!(parser.parse(&input[..read], &mut args), Ok(Parsed::Incomplete { .. })));
        if let Some(open) = parser.open_argument() {
            break open;
        }
    };
    assert_eq!(open.len as usize, parts[large].len());
    let (start, end) = (open.start as usize, (open.start + open.len) as usize + 2);
    parser.put_in_front();
    assert_eq!(parser.open_argument(), None);
    let mut moved = [&input[start..end], &input[..start]].concat();
    if end < whole_len {
        assert!(matches!(parser.parse(&moved, &mut args), Ok(Parsed::Incomplete { .. })));
    }
    moved.extend_from_slice(&input[end..]);
    for _ in 0..3 {
        assert_eq!(parser.parse(&moved, &mut args), Ok(Parsed::Command { len: whole_len }));
        assert_eq!(args[large].start, 0);
        let got: Vec<&[u8]> = stdx::Args::new(&moved, &args).iter().collect();
        assert_eq!(got, parts);
        parser.again(whole_len, &args);
    }
    assert_eq!(parser.parse(&moved, &mut args), Ok(Parsed::Command { len: whole_len }));
    let rest = &moved[whole_len..];
    assert_eq!(rest, behind);
    assert!(rest.is_empty() || parser.parse(rest, &mut args) == Ok(Parsed::Command { len: rest.len() }));
}

#[test]
fn large_argument_is_read_where_it_was_put() {
    let large = vec![b'x'; LARGE_ARGUMENT];
    let many = [&b"a"[..]; 40];
    in_front(&[b"SET", b"k", &large], 2, b"");
    in_front(&[b"SET", b"k", &large, b"EX", b"10"], 2, b"*1\r\n$4\r\nPING\r\n");
    in_front(&[&large], 0, b"");
    in_front(&[&many[..], &[&large], &many[..]].concat(), 40, b"*1\r\n$4\r\nPING\r\n");
    in_front(&[b"MSET", b"a", &large, b"b", &large], 2, b"");
}

#[test]
fn shorter_argument_is_not_open() {
    let (mut parser, mut args) = (Parser::new(Limits::default()), Vec::new());
    let input = format!("*2\r\n$3\r\nGET\r\n${}\r\nxxx", LARGE_ARGUMENT - 1);
    assert!(matches!(parser.parse(input.as_bytes(), &mut args), Ok(Parsed::Incomplete { .. })));
    assert_eq!(parser.open_argument(), None);
}

proptest! {
    #[test]
    fn pieces_make_no_difference(input in almost_requests(), cuts in pieces()) {
        let whole = read(Limits::default(), &input, []);
        prop_assert_eq!(read(Limits::default(), &input, cuts), whole);
    }

    #[test]
    fn random_bytes_never_panic(input in any::<Vec<u8>>(), cuts in pieces()) {
        let limits = Limits { inline_max: 32, ..Limits::default() };
        let whole = read(limits, &input, []);
        prop_assert_eq!(read(limits, &input, cuts), whole);
    }

    #[test]
    fn encoded_commands_come_back(
        commands in prop::collection::vec(prop::collection::vec(any::<Vec<u8>>(), 1..25), 0..6),
        cuts in pieces(),
    ) {
        let mut input = Vec::new();
        commands.iter().for_each(|command| crate::encode_command(command, &mut input));
        let got = read(Limits::default(), &input, cuts);
        prop_assert_eq!(got, Read { commands, error: None, left: 0 });
    }
}

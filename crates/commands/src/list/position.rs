//! LPOS.

use super::parse_count;
use crate::ctx::{Ctx, Outcome, parse_int};
use crate::error::CommandError;
use crate::row::{Arg, Command, Crossing, Flags, KeySpec};
use datatypes::{Element, ListRef};
use stdx::Args;

pub(super) const LPOS: Command = Command {
    name: "lpos",
    arity: -3,
    flags: Flags::READONLY,
    categories: &["list"],
    keys: &[KeySpec::range(1, 1, 1, &["RO", "access"])],
    crossing: Crossing::OneShard,
    handler: lpos,
    summary: "Answers the index of an element in a list, or of several that equal it.",
    since: "6.0.6",
    group: "list",
    complexity: "O(N) with N the number of elements looked at",
    args: &[
        Arg::key(),
        Arg::new("element", "string"),
        Arg::new("rank", "integer").after("RANK").optional(),
        Arg::new("num-matches", "integer").after("COUNT").optional(),
        Arg::new("len", "integer").after("MAXLEN").optional(),
    ],
    ..Command::EMPTY
};

struct Search {
    backward: bool,
    /// Matches that are passed over.
    skip: usize,
    /// `None`: one, answered without an array. 0: all.
    count: Option<usize>,
    /// 0: all.
    len_max: usize,
}

fn lpos(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let search = parse(args)?;
    let (key, access) = (ctx.key(args.at(1)), ctx.read_access());
    let Some(entry) = ctx.core.keyspace.find(ctx.caller.db, key, ctx.now, access) else {
        match search.count {
            Some(_) => ctx.out.array(0),
            None => ctx.out.null(),
        }
        return Ok(Outcome::Done);
    };
    let list = entry.list().ok_or(CommandError::WrongType)?;
    let mut found = matches(list, Element::of(args.at(2)), &search);
    match search.count {
        None => match found.next() {
            Some(index) => ctx.out.int(index as i64),
            None => ctx.out.null(),
        },
        Some(count) => {
            let (at, mut len) = (ctx.out.deferred(), 0);
            for index in found.take(if count == 0 { usize::MAX } else { count }) {
                ctx.out.int(index as i64);
                len += 1;
            }
            ctx.out.close_array(at, len);
        }
    }
    Ok(Outcome::Done)
}

/// The indexes of what equals `wanted`, in the order of the search.
fn matches<'a>(
    list: ListRef<'a>,
    wanted: Element<'a>,
    search: &Search,
) -> Box<dyn Iterator<Item = usize> + 'a> {
    let len_max = if search.len_max == 0 { usize::MAX } else { search.len_max };
    let is_match = move |&(_, element): &(usize, Element<'a>)| element == wanted;
    let skip = search.skip;
    if search.backward {
        let last = list.len().wrapping_sub(1);
        let found = list.iter_rev().take(len_max).enumerate().filter(is_match).skip(skip);
        return Box::new(found.map(move |(passed, _)| last - passed));
    }
    Box::new(list.iter(0).take(len_max).enumerate().filter(is_match).skip(skip).map(|(index, _)| index))
}

fn parse(args: Args<'_>) -> Result<Search, CommandError> {
    let mut search = Search { backward: false, skip: 0, count: None, len_max: 0 };
    let mut at = 3;
    while let Some(word) = args.get(at) {
        let value = args.get(at + 1).ok_or(CommandError::Syntax)?;
        if word.eq_ignore_ascii_case(b"rank") {
            let rank = match parse_int(value).ok_or(CommandError::NotInteger)? {
                0 => return Err(CommandError::RANK_ZERO),
                i64::MIN => return Err(CommandError::PAST_64_BITS),
                rank => rank,
            };
            search.backward = rank < 0;
            search.skip = rank.unsigned_abs() as usize - 1;
        } else if word.eq_ignore_ascii_case(b"count") {
            search.count = Some(parse_count(value, 0, CommandError::COUNT_NEGATIVE)?);
        } else if word.eq_ignore_ascii_case(b"maxlen") {
            search.len_max = parse_count(value, 0, CommandError::MAXLEN_NEGATIVE)?;
        } else {
            return Err(CommandError::Syntax);
        }
        at += 2;
    }
    Ok(search)
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[track_caller]
    fn check_search(options: &str, expected: &str) {
        check(&["RPUSH k a b c 1 2 3 c c", &format!("LPOS k {options}")], expected);
    }

    #[test]
    fn the_first_or_the_ranked_one() {
        check_search("a", ":0");
        check_search("c", ":2");
        check_search("3", ":5");
        check_search("x", "$-1");
        check_search("c RANK 2", ":6");
        check_search("c RANK -1", ":7");
        check_search("c RANK -3", ":2");
        check_search("c RANK 4", "$-1");
        check_search("c RANK 9223372036854775807", "$-1");
    }

    #[test]
    fn several() {
        check_search("c COUNT 0", "*3 :2 :6 :7");
        check_search("c COUNT 2", "*2 :2 :6");
        check_search("c COUNT 5 RANK 2", "*2 :6 :7");
        check_search("c rank -1 count 2", "*2 :7 :6");
        check_search("x COUNT 0", "*0");
    }

    #[test]
    fn of_so_many_elements() {
        check_search("c MAXLEN 2", "$-1");
        check_search("c MAXLEN 3", ":2");
        check_search("c COUNT 0 MAXLEN 7", "*2 :2 :6");
        check_search("c COUNT 0 MAXLEN 5 RANK -1", "*2 :7 :6");
        check_search("b RANK -1 MAXLEN 6", "$-1");
    }

    #[test]
    fn no_list() {
        check(&["LPOS k a"], "$-1");
        check(&["LPOS k a COUNT 1"], "*0");
        check(&["HELLO 3", "LPOS k a"], "_");
        check(&["SET k v", "LPOS k a"], "-WRONGTYPE Operation against a key holding the wrong kind of value");
    }

    #[test]
    fn options_that_are_none() {
        let rank = "-ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use \
                    negative to start from the end of the list";
        check_search("c RANK 0", rank);
        check_search("c RANK x", "-ERR value is not an integer or out of range");
        check_search(
            "c RANK -9223372036854775808",
            "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        );
        check_search("c COUNT -1", "-ERR COUNT can't be negative");
        check_search("c COUNT x", "-ERR COUNT can't be negative");
        check_search("c MAXLEN -1", "-ERR MAXLEN can't be negative");
        check_search("c RANK", "-ERR syntax error");
        check_search("c FOO 1", "-ERR syntax error");
    }
}

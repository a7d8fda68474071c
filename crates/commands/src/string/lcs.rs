//! LCS: the longest common subsequence of two strings.
//!
//! By dynamic programming over a table of (length a + 1) x (length b + 1) lengths of 4 bytes, which must fit
//! proto-max-bulk-len. LEN needs two rows of it only, but is refused at the same size, as in Redis.

use super::value;
use crate::ctx::{Ctx, Outcome, parse_int};
use crate::error::CommandError;
use crate::row::{Arg, Command, Crossing, Flags, KeySpec};
use stdx::Args;

pub(super) const LCS: Command = Command {
    name: "lcs",
    arity: -3,
    flags: Flags::READONLY,
    categories: &["string"],
    keys: &[KeySpec::range(1, 2, 1, &["RO", "access"])],
    crossing: Crossing::TwoHops,
    handler: lcs,
    summary: "Finds the longest common subsequence of two strings.",
    since: "7.0.0",
    group: "string",
    complexity: "O(N*M) with N and M the lengths of the strings",
    args: &[
        Arg::key_named("key1", 0),
        Arg::key_named("key2", 0),
        Arg::token("len", "LEN").optional(),
        Arg::token("idx", "IDX").optional(),
        Arg::new("min-match-len", "integer").after("MINMATCHLEN").optional(),
        Arg::token("withmatchlen", "WITHMATCHLEN").optional(),
    ],
    ..Command::EMPTY
};

fn lcs(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let (a, b) = (text(ctx, args.at(1)), text(ctx, args.at(2)));
    let (a, b) = (a?, b?);
    let options = Options::parse(args)?;
    check_size(ctx, &a, &b)?;
    if options.len {
        ctx.out.int(length(&a, &b).into());
        return Ok(Outcome::Done);
    }
    let table = Table::new(&a, &b);
    if options.idx {
        reply_runs(ctx, &table, &options);
    } else {
        let mut common = Vec::with_capacity(table.length() as usize);
        table.runs(|run| common.extend(a[run.a..run.a + run.len].iter().rev()));
        common.reverse();
        ctx.out.bulk(&common);
    }
    Ok(Outcome::Done)
}

struct Options {
    len: bool,
    idx: bool,
    match_len_min: i64,
    with_match_len: bool,
}

impl Options {
    fn parse(args: Args<'_>) -> Result<Self, CommandError> {
        let mut options = Self { len: false, idx: false, match_len_min: 0, with_match_len: false };
        let mut words = args.from(3).iter();
        while let Some(word) = words.next() {
            let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
            if is(b"IDX") {
                options.idx = true;
            } else if is(b"LEN") {
                options.len = true;
            } else if is(b"WITHMATCHLEN") {
                options.with_match_len = true;
            } else if is(b"MINMATCHLEN") {
                let given = words.next().ok_or(CommandError::Syntax)?;
                options.match_len_min = parse_int(given).ok_or(CommandError::NotInteger)?;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        if options.idx && options.len { Err(CommandError::LCS_LEN_AND_IDX) } else { Ok(options) }
    }
}

/// A copy of the string at `key`; empty when there is none.
fn text(ctx: &mut Ctx<'_>, key: &[u8]) -> Result<Vec<u8>, CommandError> {
    let access = ctx.read_access();
    match value::find(ctx, key, access) {
        Ok(None) => Ok(Vec::new()),
        Ok(Some(found)) => Ok(value::with_bytes(found, <[u8]>::to_vec)),
        Err(_) => Err(CommandError::LCS_NOT_STRINGS),
    }
}

fn check_size(ctx: &Ctx<'_>, a: &[u8], b: &[u8]) -> Result<(), CommandError> {
    if a.len().max(b.len()) as u64 >= u64::from(u32::MAX) - 1 {
        return Err(CommandError::LCS_TOO_LONG);
    }
    let cells = (a.len() as u128 + 1) * (b.len() as u128 + 1);
    if cells * size_of::<u32>() as u128 > u128::from(value::bulk_len_max(ctx)) {
        return Err(CommandError::LCS_TABLE_TOO_LARGE);
    }
    Ok(())
}

/// The length of the longest common subsequence.
fn length(a: &[u8], b: &[u8]) -> u32 {
    let mut row = vec![0u32; b.len() + 1];
    for &byte in a {
        let mut diagonal = 0;
        for (column, &other) in b.iter().enumerate() {
            let above = row[column + 1];
            row[column + 1] = if byte == other { diagonal + 1 } else { above.max(row[column]) };
            diagonal = above;
        }
    }
    row[b.len()]
}

/// The lengths of the longest common subsequences of all pairs of prefixes.
struct Table<'a> {
    a: &'a [u8],
    b: &'a [u8],
    cells: Vec<u32>,
}

/// A stretch common to both strings: where it starts in each, and its length in bytes.
struct Run {
    a: usize,
    b: usize,
    len: usize,
}

impl<'a> Table<'a> {
    fn new(a: &'a [u8], b: &'a [u8]) -> Self {
        let width = b.len() + 1;
        let mut cells = vec![0; (a.len() + 1) * width];
        for (index, &byte) in a.iter().enumerate() {
            let (above, row) = cells[index * width..(index + 2) * width].split_at_mut(width);
            for (column, &other) in b.iter().enumerate() {
                row[column + 1] =
                    if byte == other { above[column] + 1 } else { above[column + 1].max(row[column]) };
            }
        }
        Self { a, b, cells }
    }

    fn at(&self, a: usize, b: usize) -> u32 {
        self.cells[a * (self.b.len() + 1) + b]
    }

    fn length(&self) -> u32 {
        self.at(self.a.len(), self.b.len())
    }

    /// Visits the runs of one longest common subsequence, from the last to the first. Where two ways are equally
    /// long, the one that shortens `b` is taken, as Redis does.
    fn runs(&self, mut visit: impl FnMut(Run)) {
        let (mut a, mut b) = (self.a.len(), self.b.len());
        while a > 0 && b > 0 {
            let pairs = self.a[..a].iter().rev().zip(self.b[..b].iter().rev());
            let len = pairs.take_while(|(left, right)| left == right).count();
            if len > 0 {
                a -= len;
                b -= len;
                visit(Run { a, b, len });
            } else if self.at(a - 1, b) > self.at(a, b - 1) {
                a -= 1;
            } else {
                b -= 1;
            }
        }
    }
}

fn reply_runs(ctx: &mut Ctx<'_>, table: &Table<'_>, options: &Options) {
    ctx.out.map(2);
    ctx.out.bulk(b"matches");
    let matches = ctx.out.deferred();
    let mut count = 0;
    table.runs(|run| {
        if (run.len as i64) < options.match_len_min {
            return;
        }
        count += 1;
        ctx.out.array(2 + usize::from(options.with_match_len));
        for start in [run.a, run.b] {
            ctx.out.array(2);
            ctx.out.int(start as i64);
            ctx.out.int((start + run.len) as i64 - 1);
        }
        if options.with_match_len {
            ctx.out.int(run.len as i64);
        }
    });
    ctx.out.close_array(matches, count);
    ctx.out.bulk(b"len");
    ctx.out.int(table.length().into());
}

#[cfg(test)]
mod tests {
    use super::{Table, length};
    use crate::testing::{World, check};

    const TEXTS: &str = "MSET a ohmytext b mynewtext";

    #[test]
    fn the_subsequence_its_length_and_its_places() {
        check(&[TEXTS, "LCS a b"], "$6 mytext");
        check(&[TEXTS, "LCS a b LEN"], ":6");
        check(
            &[TEXTS, "LCS a b IDX"],
            "*4 $7 matches *2 *2 *2 :4 :7 *2 :5 :8 *2 *2 :2 :3 *2 :0 :1 $3 len :6",
        );
        check(
            &[TEXTS, "LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN"],
            "*4 $7 matches *1 *3 *2 :4 :7 *2 :5 :8 :4 $3 len :6",
        );
        check(&[TEXTS, "LCS a b MINMATCHLEN -5"], "$6 mytext");
        check(&["SET a 12345", "SET b 135", "LCS a b"], "$3 135");
    }

    #[test]
    fn resp3_has_a_map() {
        let mut world = World::new(1);
        world.client().proto = resp::Proto::Resp3;
        world.check(&["LCS a b IDX"], "%2 $7 matches *0 $3 len :0");
    }

    #[test]
    fn missing_keys_are_empty() {
        check(&["LCS a b"], "$0 ");
        check(&["LCS a b LEN"], ":0");
        check(&["LCS a b IDX"], "*4 $7 matches *0 $3 len :0");
    }

    #[test]
    fn wrong_options() {
        check(&["LCS a b LEN IDX"], "-ERR If you want both the length and indexes, please just use IDX.");
        check(&["LCS a b MINMATCHLEN"], "-ERR syntax error");
        check(&["LCS a b MINMATCHLEN x"], "-ERR value is not an integer or out of range");
        check(&["LCS a b FOO"], "-ERR syntax error");
    }

    #[test]
    fn the_table_is_bounded() {
        let mut world = World::new(1);
        world.run(TEXTS);
        world.cores[0].config.proto_max_bulk_len = 9 * 10 * 4 - 1;
        let refused = "-ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len";
        world.check(&["LCS a b"], refused);
        world.check(&["LCS a b LEN"], refused);
        world.cores[0].config.proto_max_bulk_len = 9 * 10 * 4;
        world.check(&["LCS a b LEN"], ":6");
    }

    #[test]
    fn two_rows_and_the_table_agree() {
        let texts: [&[u8]; 5] = [b"", b"a", b"abcbdab", b"bdcaba", b"xaxbxcxbxdxaxb"];
        for a in texts {
            for b in texts {
                let table = Table::new(a, b);
                let mut runs = 0;
                table.runs(|run| {
                    assert_eq!(a[run.a..run.a + run.len], b[run.b..run.b + run.len]);
                    runs += run.len;
                });
                assert_eq!(table.length(), length(a, b));
                assert_eq!(runs, table.length() as usize);
            }
        }
    }
}

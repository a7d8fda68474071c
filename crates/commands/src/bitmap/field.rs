//! BITFIELD and BITFIELD_RO.

use super::fields::{Overflow, Type};
use super::{offset, words};
use crate::ctx::{Ctx, Outcome, parse_int};
use crate::effects::Event;
use crate::error::CommandError;
use crate::string::value;
use keyspace::{Access, StringRef};
use resp::Reply;
use stdx::Args;

/// One operation on one field.
#[derive(Clone, Copy, Debug)]
struct Operation {
    kind: Type,
    offset: u64,
    change: Change,
}

#[derive(Clone, Copy, Debug)]
enum Change {
    Get,
    Set(i64, Overflow),
    Add(i64, Overflow),
}

/// The operations of a command, in order.
#[derive(Clone, Copy, Debug)]
struct Operations<'a> {
    rest: Args<'a>,
    overflow: Overflow,
    /// proto-max-bulk-len.
    bytes_max: u64,
}

pub(super) fn bitfield(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let operations = Operations::new(ctx, args);
    let (count, len_min) = operations.check()?;
    if len_min == 0 {
        return read(ctx, args.at(1), operations, count);
    }
    value::find(ctx, args.at(1), Access::Peek)?;
    ctx.out.array(count);
    let key = ctx.key(args.at(1));
    let (keyspace, out) = (&mut ctx.core.keyspace, &mut ctx.out);
    let changes = keyspace.edit_bytes(ctx.caller.db, key, len_min, ctx.now, |bytes, grown| {
        let written = operations.checked().filter_map(|operation| operation.run(bytes, out));
        // Where the string grew, every write is a change.
        let changes = written.filter(|changed| *changed || grown).count() as u64;
        (changes, changes)
    });
    if changes > 0 {
        ctx.event(Event::STRING, "setbit", args.at(1));
    }
    Ok(Outcome::Done)
}

pub(super) fn bitfield_ro(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let operations = Operations::new(ctx, args);
    let (count, len_min) = operations.check()?;
    if len_min != 0 {
        return Err(CommandError::FIELD_READ_ONLY);
    }
    read(ctx, args.at(1), operations, count)
}

/// Answers `count` operations that are all GET.
fn read(
    ctx: &mut Ctx<'_>,
    key: &[u8],
    operations: Operations<'_>,
    count: usize,
) -> Result<Outcome, CommandError> {
    let (key, access) = (ctx.key(key), ctx.read_access());
    let found = ctx.core.keyspace.find(ctx.caller.db, key, ctx.now, access);
    let found = found.map(value::string).transpose()?.unwrap_or(StringRef::Bytes(&[]));
    ctx.out.array(count);
    value::with_bytes(found, |bytes| {
        operations.checked().for_each(|operation| ctx.out.int(operation.get(bytes)));
    });
    Ok(Outcome::Done)
}

impl Operation {
    fn get(&self, bytes: &[u8]) -> i64 {
        self.kind.value(words::read(bytes, self.offset, self.kind.width))
    }

    /// Does it and answers. Returns whether it changed a bit, or `None` when it wrote nothing.
    fn run(&self, bytes: &mut [u8], out: &mut Reply<'_>) -> Option<bool> {
        let old = self.get(bytes);
        let (new, told) = match self.change {
            Change::Get => (None, Some(old)),
            Change::Set(value, overflow) => {
                let new = self.kind.fit(value, overflow);
                (new, new.map(|_| old))
            }
            Change::Add(by, overflow) => {
                let new = self.kind.add(old, by, overflow);
                (new, new)
            }
        };
        match told {
            Some(told) => out.int(told),
            None => out.null(),
        }
        let new = new?;
        words::write(bytes, self.offset, self.kind.width, new as u64);
        Some(new != old)
    }
}

impl<'a> Operations<'a> {
    fn new(ctx: &Ctx<'_>, args: Args<'a>) -> Self {
        Self { rest: args.from(2), overflow: Overflow::Wrap, bytes_max: value::bulk_len_max(ctx) }
    }

    /// How many operations there are, and the length that the string must have for the writes among them: 0 when
    /// there are none. Errors: of the first argument that is wrong.
    fn check(self) -> Result<(usize, usize), CommandError> {
        let (mut count, mut len_min) = (0, 0);
        for operation in self {
            let operation = operation?;
            count += 1;
            if !matches!(operation.change, Change::Get) {
                let end = operation.offset + u64::from(operation.kind.width);
                len_min = len_min.max(end.div_ceil(8) as usize);
            }
        }
        Ok((count, len_min))
    }

    /// The operations, once they were checked.
    fn checked(self) -> impl Iterator<Item = Operation> {
        self.map(|operation| operation.expect("every operation was checked"))
    }

    /// The next operation, whose name is the first of `rest`, and how many arguments it has. `None`: an OVERFLOW.
    fn parse(&mut self) -> Result<(Option<Operation>, usize), CommandError> {
        let (name, more) = (self.rest.at(0), self.rest.len() - 1);
        let is = |word: &str| name.eq_ignore_ascii_case(word.as_bytes());
        if is("overflow") && more >= 1 {
            self.overflow = Overflow::parse(self.rest.at(1)).ok_or(CommandError::FIELD_OVERFLOW)?;
            return Ok((None, 2));
        }
        let (is_get, is_set) = (is("get"), is("set"));
        if !(is_get && more >= 2 || (is_set || is("incrby")) && more >= 3) {
            return Err(CommandError::Syntax);
        }
        let kind = Type::parse(self.rest.at(1))?;
        let offset = offset::parse(self.rest.at(2), Some(kind.width), self.bytes_max)?;
        if is_get {
            return Ok((Some(Operation { kind, offset, change: Change::Get }), 3));
        }
        let number = parse_int(self.rest.at(3)).ok_or(CommandError::NotInteger)?;
        let change =
            if is_set { Change::Set(number, self.overflow) } else { Change::Add(number, self.overflow) };
        Ok((Some(Operation { kind, offset, change }), 4))
    }
}

impl Iterator for Operations<'_> {
    type Item = Result<Operation, CommandError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.rest.len() > 0 {
            match self.parse() {
                Ok((operation, len)) => {
                    self.rest = self.rest.from(len);
                    if let Some(operation) = operation {
                        return Some(Ok(operation));
                    }
                }
                Err(error) => return Some(Err(error)),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{World, check, check_effects, check_events};

    #[test]
    fn fields_are_read_and_written_in_order() {
        check(&["BITFIELD k SET u8 0 255 GET u8 0 GET i8 0 INCRBY u4 4 1"], "*4 :0 :255 :-1 :0");
        check(&["BITFIELD k SET i5 #1 -3 GET i5 5 GET u5 5"], "*3 :0 :-3 :29");
        check(&["BITFIELD k INCRBY i64 1 9223372036854775807", "STRLEN k"], ":9");
        check(&["SET k 12", "BITFIELD k GET u16 0 GET u16 8 GET u8 1000"], "*3 :12594 :12800 :0");
        check(&["BITFIELD k"], "*0");
        check(&["BITFIELD_RO k GET u8 0"], "*1 :0");
        check(&["SET k a", "bitfield_ro k get u8 0 get i4 4"], "*2 :97 :1");
    }

    #[test]
    fn overflow_is_as_said_last() {
        let line = "BITFIELD k SET u2 0 3 INCRBY u2 0 1 SET u2 0 3 OVERFLOW SAT INCRBY u2 0 1";
        check(&[line], "*4 :0 :0 :0 :3");
        check(&["BITFIELD k OVERFLOW FAIL SET u2 0 4 SET u2 0 3 INCRBY u2 0 1"], "*3 $-1 :0 $-1");
        check(&["BITFIELD k OVERFLOW FAIL OVERFLOW wrap SET u2 0 5 GET u2 0"], "*2 :0 :1");
    }

    #[test]
    fn a_write_makes_the_string_long_enough_even_when_it_fails() {
        check(&["BITFIELD k OVERFLOW FAIL SET u8 8 256", "STRLEN k"], ":2");
        check(&["BITFIELD k GET u8 100", "EXISTS k"], ":0");
        check(&["SET k 1", "BITFIELD k SET u8 0 49", "OBJECT ENCODING k"], "$3 raw");
    }

    #[test]
    fn wrong_operations() {
        const SYNTAX: &str = "-ERR syntax error";
        const TYPE: &str = "-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.";
        check(&["BITFIELD k GET u8"], SYNTAX);
        check(&["BITFIELD k SET u8 0"], SYNTAX);
        check(&["BITFIELD k OVERFLOW"], SYNTAX);
        check(&["BITFIELD k PUT u8 0 1"], SYNTAX);
        check(&["BITFIELD k GET u64 0"], TYPE);
        check(&["BITFIELD k GET u8 -1"], "-ERR bit offset is not an integer or out of range");
        check(&["BITFIELD k GET u8 ##1"], "-ERR bit offset is not an integer or out of range");
        check(&["BITFIELD k GET u63 #68174085"], "-ERR bit offset is not an integer or out of range");
        check(&["BITFIELD k SET u8 0 x"], "-ERR value is not an integer or out of range");
        check(&["BITFIELD k OVERFLOW never"], "-ERR Invalid OVERFLOW type specified");
        check(&["BITFIELD_RO k SET u8 0 1"], "-ERR BITFIELD_RO only supports the GET subcommand");
        check(&["BITFIELD_RO k SET u8 0 1 GET u8"], SYNTAX);
    }

    #[test]
    fn changes_are_told_once() {
        check_effects(&["BITFIELD k SET u8 0 1 SET u8 8 1"], "BITFIELD k SET u8 0 1 SET u8 8 1");
        check_events(&["BITFIELD k SET u8 0 1 SET u8 8 1"], "setbit:k");
        check_effects(&["BITFIELD k SET u8 0 1", "BITFIELD k SET u8 0 1"], "");
        check_events(&["BITFIELD k SET u8 0 1", "BITFIELD k SET u8 0 1"], "");
        // The string was made although the write failed. Redis does not tell it; the journal must know.
        let failing = "BITFIELD k OVERFLOW FAIL SET u8 0 256";
        check_effects(&[failing], failing);
        check_events(&[failing], "");
    }

    #[test]
    fn changes_count_when_bits_change_or_the_string_grows() {
        let mut world = World::new(1);
        let mut dirty = |line: &str| {
            let before = world.cores[0].keyspace.stats.dirty;
            world.run(line);
            world.cores[0].keyspace.stats.dirty - before
        };
        assert_eq!(dirty("BITFIELD k SET u8 0 0 SET u8 8 0 GET u8 0"), 2);
        assert_eq!(dirty("BITFIELD k SET u8 0 0 SET u8 8 1"), 1);
        assert_eq!(dirty("BITFIELD k SET u8 0 0 GET u8 8"), 0);
    }
}

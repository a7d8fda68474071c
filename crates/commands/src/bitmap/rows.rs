//! The rows of the bitmap commands.

use super::{bit, count, field, op, pos};
use crate::row::{Arg, Command, Crossing, Flags, KeySpec};
use stdx::Args;

/// The family's rows, in COMMAND's order.
pub const COMMANDS: &[Command] =
    &[BITCOUNT, BITFIELD, BITFIELD_RO, BITOP, BITPOS, bit_row(GETBIT), bit_row(SETBIT)];

const fn bit_row(row: Command) -> Command {
    Command { categories: &["bitmap"], crossing: Crossing::OneShard, since: "2.2.0", group: "bitmap", ..row }
}

const UNIT: &[Arg] = &[Arg::token("byte", "BYTE"), Arg::token("bit", "BIT")];

const BITCOUNT: Command = Command {
    name: "bitcount",
    arity: -2,
    flags: Flags::READONLY,
    categories: &["bitmap"],
    keys: &[KeySpec::range(1, 1, 1, &["RO", "access"])],
    crossing: Crossing::OneShard,
    handler: count::bitcount,
    summary: "Counts the bits of a string that are set, in all of it or in a part.",
    since: "2.6.0",
    group: "bitmap",
    complexity: "O(N) with N the length of the part",
    history: &[("7.0.0", "The part may be given in bits: `BYTE|BIT`.")],
    args: &[
        Arg::key(),
        Arg::block(
            "range",
            &[
                Arg::new("start", "integer"),
                Arg::new("end", "integer"),
                Arg::one_of("unit", UNIT).optional().since("7.0.0"),
            ],
        )
        .optional(),
    ],
    ..Command::EMPTY
};

const BITPOS: Command = Command {
    name: "bitpos",
    arity: -3,
    flags: Flags::READONLY,
    categories: &["bitmap"],
    keys: &[KeySpec::range(1, 1, 1, &["RO", "access"])],
    crossing: Crossing::OneShard,
    handler: pos::bitpos,
    summary: "Finds the first bit of a string that is set, or that is clear.",
    since: "2.8.7",
    group: "bitmap",
    complexity: "O(N) with N the length of the part that is searched",
    history: &[("7.0.0", "The part may be given in bits: `BYTE|BIT`.")],
    args: &[
        Arg::key(),
        Arg::new("bit", "integer"),
        Arg::block(
            "range",
            &[
                Arg::new("start", "integer"),
                Arg::block(
                    "end-unit-block",
                    &[Arg::new("end", "integer"), Arg::one_of("unit", UNIT).optional().since("7.0.0")],
                )
                .optional(),
            ],
        )
        .optional(),
    ],
    ..Command::EMPTY
};

const BITOP: Command = Command {
    name: "bitop",
    arity: -4,
    flags: Flags::WRITE.or(Flags::DENYOOM),
    categories: &["bitmap"],
    keys: &[KeySpec::range(2, 2, 1, &["OW", "update"]), KeySpec::range(3, -1, 1, &["RO", "access"])],
    crossing: Crossing::TwoHops,
    handler: op::bitop,
    summary: "Combines strings bit by bit and stores the result.",
    since: "2.6.0",
    group: "bitmap",
    complexity: "O(N) with N the length of all strings together",
    args: &[
        Arg::one_of(
            "operation",
            &[
                Arg::token("and", "AND"),
                Arg::token("or", "OR"),
                Arg::token("xor", "XOR"),
                Arg::token("not", "NOT"),
            ],
        ),
        Arg::key_named("destkey", 0),
        Arg::key_named("key", 1).multiple(),
    ],
    ..Command::EMPTY
};

const GETBIT: Command = Command {
    name: "getbit",
    arity: 3,
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::range(1, 1, 1, &["RO", "access"])],
    handler: bit::getbit,
    summary: "Answers one bit of a string.",
    args: &[Arg::key(), Arg::new("offset", "integer")],
    ..Command::EMPTY
};

const SETBIT: Command = Command {
    name: "setbit",
    arity: 4,
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[KeySpec::range(1, 1, 1, &["RW", "access", "update"])],
    handler: bit::setbit,
    summary: "Sets or clears one bit of a string, which grows as needed, and answers what it was.",
    args: &[Arg::key(), Arg::new("offset", "integer"), Arg::new("value", "integer")],
    ..Command::EMPTY
};

const FIELD: &[Arg] = &[Arg::new("encoding", "string"), Arg::new("offset", "integer")];

/// With GET alone, and what goes with it, it only reads.
fn bitfield_flags(args: Args<'_>, _: u32) -> &'static [&'static str] {
    let mut at = 2;
    while let Some(word) = args.get(at) {
        let left = args.len() - at - 1;
        at += match word.to_ascii_uppercase().as_slice() {
            b"GET" if left >= 2 => 3,
            b"OVERFLOW" if left >= 1 => 2,
            // It writes, or is wrong and not to be taken for a reader.
            _ => return &["RW", "access", "update"],
        };
    }
    &["RO", "access"]
}

const BITFIELD: Command = Command {
    name: "bitfield",
    arity: -2,
    flags: Flags::WRITE.or(Flags::DENYOOM),
    categories: &["bitmap"],
    keys: &[KeySpec {
        notes: "reads and changes the key",
        ..KeySpec::range(1, 1, 1, &["RW", "update", "access", "variable_flags"])
    }],
    key_flags: Some(bitfield_flags),
    crossing: Crossing::OneShard,
    handler: field::bitfield,
    summary: "Reads and changes integers of any width within a string.",
    since: "3.2.0",
    group: "bitmap",
    complexity: "O(1) for each operation",
    args: &[
        Arg::key(),
        Arg::one_of(
            "operation",
            &[
                Arg::block("get-block", FIELD).after("GET"),
                Arg::block(
                    "write",
                    &[
                        Arg::one_of(
                            "overflow-block",
                            &[
                                Arg::token("wrap", "WRAP"),
                                Arg::token("sat", "SAT"),
                                Arg::token("fail", "FAIL"),
                            ],
                        )
                        .after("OVERFLOW")
                        .optional(),
                        Arg::one_of("write-operation", &[SET_BLOCK, INCRBY_BLOCK]),
                    ],
                ),
            ],
        )
        .optional()
        .multiple(),
    ],
    ..Command::EMPTY
};

const SET_BLOCK: Arg = Arg::block(
    "set-block",
    &[Arg::new("encoding", "string"), Arg::new("offset", "integer"), Arg::new("value", "integer")],
)
.after("SET");

const INCRBY_BLOCK: Arg = Arg::block(
    "incrby-block",
    &[Arg::new("encoding", "string"), Arg::new("offset", "integer"), Arg::new("increment", "integer")],
)
.after("INCRBY");

const BITFIELD_RO: Command = Command {
    name: "bitfield_ro",
    arity: -2,
    flags: Flags::READONLY.or(Flags::FAST),
    categories: &["bitmap"],
    keys: &[KeySpec::range(1, 1, 1, &["RO", "access"])],
    crossing: Crossing::OneShard,
    handler: field::bitfield_ro,
    summary: "Reads integers of any width within a string.",
    since: "6.0.0",
    group: "bitmap",
    complexity: "O(1) for each operation",
    args: &[
        Arg::key(),
        Arg { multiple_token: true, ..Arg::block("get-block", FIELD).after("GET").optional().multiple() },
    ],
    ..Command::EMPTY
};

//! DEBUG STREAM: a master's stream by hand, in the place of a link.

use crate::core::{Action, StreamStep};
use crate::ctx::Ctx;
use crate::error::CommandError;
use replication::StreamPosition;
use stdx::Args;

/// FROM replid offset db, FEED bytes, END: the first core has it done.
pub(super) fn step(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let step = match (args.at(0).to_ascii_uppercase().as_slice(), args.len()) {
        (b"FROM", 4) => {
            let position = StreamPosition::of_words(args.at(1), args.at(2), args.at(3));
            StreamStep::From(position.ok_or(CommandError::Syntax)?)
        }
        (b"FEED", 2) => StreamStep::Bytes(args.at(1).to_vec()),
        (b"END", 1) => StreamStep::End,
        _ => return Err(CommandError::Syntax),
    };
    if ctx.core.id.index() == 0 {
        ctx.core.actions.push(Action::Stream(step));
    }
    Ok(())
}

/// Where the data is: `<replid> <offset> <db>`, or `none`.
pub(super) fn reply(ctx: &mut Ctx<'_>) {
    match ctx.core.shared.following.place() {
        Some(position) => ctx.out.bulk(position.to_string().as_bytes()),
        None => ctx.out.bulk(b"none"),
    }
}

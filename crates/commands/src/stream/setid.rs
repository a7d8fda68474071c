//! XSETID.

use super::{edit, id, is};
use crate::ctx::{Ctx, Outcome};
use crate::effects::Event;
use crate::error::CommandError;
use datatypes::StreamId;
use keyspace::Editing;
use stdx::Args;

pub(super) fn xsetid(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let last_id = id(args.at(2))?;
    let (mut added, mut max_deleted) = (None, None);
    let mut at = 3;
    while at < args.len() {
        let more = args.len() - at - 1;
        if is(args.at(at), "ENTRIESADDED") && more > 0 {
            added = Some(u64::try_from(ctx.int(args, at + 1)?).map_err(|_| CommandError::SETID_ADDED)?);
        } else if is(args.at(at), "MAXDELETEDID") && more > 0 {
            let given = id(args.at(at + 1))?;
            if last_id < given {
                return Err(CommandError::SETID_BELOW_GIVEN);
            }
            max_deleted = Some(given).filter(|&given| given != StreamId::MIN);
        } else {
            return Err(CommandError::Syntax);
        }
        at += 2;
    }
    let key = args.at(1);
    let set = edit!(ctx, key, |editing: &mut Editing<'_>| {
        let log = editing.stream().log_mut();
        if last_id < log.max_deleted_id() {
            return Err(CommandError::SETID_BELOW_DELETED);
        }
        if let Some(last) = log.last_entry_id() {
            if last_id < last {
                return Err(CommandError::SETID_BELOW_LAST);
            }
            if added.is_some_and(|added| log.len() > added) {
                return Err(CommandError::SETID_ADDED_SMALL);
            }
        }
        log.set_last_id(last_id, added, max_deleted);
        editing.changed(1);
        Ok(())
    })?;
    set.ok_or(CommandError::NoSuchKey)?;
    ctx.event(Event::STREAM, "xsetid", key);
    ctx.out.ok();
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_effects, check_events};

    #[test]
    fn the_last_id_and_what_is_remembered() {
        check(&["XADD s 1 f v", "XSETID s 5", "XADD s 5 f v"], SMALL);
        check(&["XADD s 1 f v", "XSETID s 5 ENTRIESADDED 9 MAXDELETEDID 3"], "+OK");
        check_effects(&["XADD s 1 f v", "XSETID s 5"], "XSETID s 5");
        check_events(&["XADD s 1 f v", "XSETID s 5"], "xsetid:s");
    }

    const SMALL: &str = "-ERR The ID specified in XADD is equal or smaller than the target stream top item";

    #[test]
    fn what_cannot_be_is_refused() {
        check(&["XSETID s 5"], "-ERR no such key");
        check(&["XSETID s x"], "-ERR Invalid stream ID specified as stream command argument");
        check(&["XSETID s 5 ENTRIESADDED -1"], "-ERR entries_added must be positive");
        check(&["XSETID s 5 ENTRIESADDED"], "-ERR syntax error");
        check(
            &["XSETID s 5 MAXDELETEDID 6"],
            "-ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
        );
        check(
            &["XADD s 2 f v", "XSETID s 1"],
            "-ERR The ID specified in XSETID is smaller than the target stream top item",
        );
        check(
            &["XADD s 2 f v", "XDEL s 2", "XSETID s 1"],
            "-ERR The ID specified in XSETID is smaller than current max_deleted_entry_id",
        );
        check(
            &["XADD s 2 f v", "XSETID s 2 ENTRIESADDED 0"],
            "-ERR The entries_added specified in XSETID is smaller than the target stream length",
        );
    }
}

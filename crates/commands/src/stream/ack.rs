//! XACK.

use super::{changed, check_ids, edit, id};
use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use keyspace::Editing;
use stdx::Args;

pub(super) fn xack(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let ids = args.from(3);
    let acknowledged = edit!(ctx, args.at(1), |editing: &mut Editing<'_>| {
        let Some((_, mut group)) = editing.stream().group_mut(args.at(2)) else { return Ok(0) };
        check_ids(ids)?;
        let mut acknowledged = 0;
        for arg in ids.iter() {
            acknowledged += u64::from(group.acknowledge(id(arg)?).is_some());
        }
        drop(group);
        changed(editing, acknowledged);
        Ok::<_, CommandError>(acknowledged)
    })?;
    if acknowledged.is_none() {
        super::missed(ctx, args.at(1));
    }
    ctx.out.int(acknowledged.unwrap_or(0) as i64);
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_effects};

    const READ: [&str; 4] =
        ["XADD s 1 f v", "XADD s 2 f v", "XGROUP CREATE s g 0", "XREADGROUP GROUP g c STREAMS s >"];

    #[test]
    fn what_is_acknowledged_is_no_longer_pending() {
        check(&[&READ[..], &["XACK s g 1 1 9"]].concat(), ":1");
        check(&[&READ[..], &["XACK s g 1 2", "XPENDING s g"]].concat(), "*4 :0 $-1 $-1 *-1");
        check(&[&READ[..], &["XACK s h 1"]].concat(), ":0");
        check(&["XACK s g x"], ":0");
        let invalid = "-ERR Invalid stream ID specified as stream command argument";
        check(&[&READ[..], &["XACK s g 1 x"]].concat(), invalid);
        check_effects(&[&READ[..], &["XACK s g 1"]].concat(), "XACK s g 1");
        check_effects(&[&READ[..], &["XACK s g 7"]].concat(), "");
    }
}

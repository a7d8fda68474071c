//! SAVE, BGSAVE, BGREWRITEAOF, LASTSAVE. The snapshots themselves are taken by the server: see [`crate::saves`].

use crate::core::Action;
use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use crate::saves::{Asked, Form, SaveKind};
use stdx::Args;

/// SAVE [RDB]: the client is answered when there is a snapshot that was begun after this; others are served meanwhile. What is
/// written here is the answer if that succeeds.
pub(super) fn save(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let form = match args.len() {
        1 => Form::Set,
        2 if args.at(1).eq_ignore_ascii_case(b"rdb") => Form::SingleFile,
        _ => return Err(CommandError::Arity("save".into())),
    };
    let current = ctx.core.shared.saves.view().current;
    if current.is_some_and(|current| current.kind == SaveKind::Snapshot && !current.in_foreground) {
        return Err(CommandError::SAVE_UNDER_WAY);
    }
    ctx.core.waits_for_save = Some(form);
    ctx.out.ok();
    Ok(Outcome::Done)
}

/// BGSAVE [SCHEDULE | CANCEL].
pub(super) fn bgsave(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let option = if args.len() > 1 { Some(args.at(1).to_ascii_lowercase()) } else { None };
    let may_wait = match option.as_deref() {
        _ if args.len() > 2 => return Err(CommandError::Syntax),
        None => false,
        Some(b"schedule") => true,
        Some(b"cancel") => return cancel(ctx),
        Some(_) => return Err(CommandError::Syntax),
    };
    if is_in_exec(ctx) {
        return later(ctx, SaveKind::Snapshot, "Background saving scheduled");
    }
    match ctx.core.shared.saves.ask(SaveKind::Snapshot, may_wait, ctx.now) {
        Asked::Started => ctx.out.simple("Background saving started"),
        Asked::Scheduled => ctx.out.simple("Background saving scheduled"),
        Asked::AlreadyUnderWay => return Err(CommandError::SAVE_UNDER_WAY),
        Asked::OtherUnderWay => return Err(CommandError::REWRITE_UNDER_WAY),
    }
    ctx.core.actions.push(Action::Save);
    Ok(Outcome::Done)
}

fn cancel(ctx: &mut Ctx<'_>) -> Result<Outcome, CommandError> {
    let saves = &ctx.core.shared.saves;
    if saves.view().is_current(SaveKind::Snapshot) {
        ctx.core.actions.push(Action::CancelSave);
        ctx.out.simple("Background saving cancelled");
    } else if saves.unschedule() {
        ctx.out.simple("Scheduled background saving cancelled");
    } else {
        return Err(CommandError::NO_SAVE);
    }
    Ok(Outcome::Done)
}

/// BGREWRITEAOF: a snapshot, after which the log needs nothing of the time before it.
pub(super) fn rewrite(ctx: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    if is_in_exec(ctx) {
        return later(ctx, SaveKind::Rewrite, "Background append only file rewriting scheduled");
    }
    match ctx.core.shared.saves.ask(SaveKind::Rewrite, true, ctx.now) {
        Asked::Started => ctx.out.simple("Background append only file rewriting started"),
        Asked::AlreadyUnderWay => return Err(CommandError::REWRITE_ALREADY),
        Asked::Scheduled | Asked::OtherUnderWay => {
            ctx.out.simple("Background append only file rewriting scheduled");
        }
    }
    ctx.core.actions.push(Action::Save);
    Ok(Outcome::Done)
}

/// LASTSAVE: when the last snapshot was whole; when the server started, if there is none.
pub(super) fn last_save(ctx: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    let at = ctx.core.shared.saves.view().last_save_s;
    ctx.out.int(at);
    Ok(Outcome::Done)
}

/// What stands in a transaction is begun after it.
fn later(ctx: &mut Ctx<'_>, kind: SaveKind, answer: &str) -> Result<Outcome, CommandError> {
    ctx.core.shared.saves.schedule(kind);
    ctx.core.actions.push(Action::Save);
    ctx.out.simple(answer);
    Ok(Outcome::Done)
}

fn is_in_exec(ctx: &Ctx<'_>) -> bool {
    !ctx.may_park
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::saves::Saved;
    use crate::testing::World;
    use stdx::UnixMs;

    fn end(world: &mut World) {
        let saves = &world.cores[0].shared.saves;
        saves.end(Ok(Saved::default()), UnixMs(1_700_000_123_456));
        world.cores[0].actions.clear();
    }

    #[test]
    fn one_snapshot_at_a_time_is_begun() {
        let mut world = World::new(1);
        world.check(&["BGSAVE"], "+Background saving started");
        assert_eq!(world.cores[0].actions, [Action::Save]);
        world.check(&["BGSAVE"], "-ERR Background save already in progress");
        world.check(&["BGSAVE schedule"], "-ERR Background save already in progress");
        world.check(&["SAVE"], "-ERR Background save already in progress");
        world.check(&["BGREWRITEAOF"], "+Background append only file rewriting scheduled");
        end(&mut world);
        assert_eq!(world.cores[0].shared.saves.view().scheduled, [false, true]);
        world.check(&["LASTSAVE"], ":1700000123");
    }

    #[test]
    fn a_rewrite_stands_in_the_way_of_a_snapshot() {
        let mut world = World::new(1);
        world.check(&["BGREWRITEAOF"], "+Background append only file rewriting started");
        world.check(&["BGREWRITEAOF"], "-ERR Background append only file rewriting already in progress");
        world.check(
            &["BGSAVE"],
            "-ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to \
             schedule a BGSAVE whenever possible.",
        );
        world.check(&["BGSAVE SCHEDULE"], "+Background saving scheduled");
        world.check(&["BGSAVE CANCEL"], "+Scheduled background saving cancelled");
        world.check(&["BGSAVE CANCEL"], "-ERR Background saving is currently not in progress or scheduled");
    }

    #[test]
    fn a_snapshot_is_given_up() {
        let mut world = World::new(1);
        world.check(&["BGSAVE"], "+Background saving started");
        world.check(&["BGSAVE cancel"], "+Background saving cancelled");
        assert_eq!(world.cores[0].actions, [Action::Save, Action::CancelSave]);
    }

    #[test]
    fn options_are_known_or_refused() {
        let mut world = World::new(1);
        for line in ["BGSAVE now", "BGSAVE SCHEDULE CANCEL", "BGSAVE SCHEDULE x"] {
            world.check(&[line], "-ERR syntax error");
        }
    }

    #[test]
    fn save_is_answered_later() {
        let mut world = World::new(1);
        world.check(&["SAVE"], "+OK");
        assert_eq!(world.cores[0].waits_for_save.take(), Some(Form::Set));
        world.check(&["SAVE rdb"], "+OK");
        assert_eq!(world.cores[0].waits_for_save.take(), Some(Form::SingleFile));
        world.check(&["SAVE x"], "-ERR wrong number of arguments for 'save' command");
        world.check(&["SAVE RDB x"], "-ERR wrong number of arguments for 'save' command");
    }
}

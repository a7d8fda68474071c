//! Whether a script keeps to the keys that it declares, judged by its text and the command table.

use crate::row::{Crossing, Flags};
use crate::table::{self, CommandRef};
use script::{Argument, Call, Script};
use stdx::args::OwnedArgs;

/// Whether every command of a script has its keys among those that the script declares. Judged once.
pub(super) fn is_tame(script: &Script) -> bool {
    let judge = || script.shape.calls.as_ref().is_some_and(|calls| calls.iter().all(is_tame_call));
    *script.is_tame.get_or_init(judge)
}

fn is_tame_call(call: &Call) -> bool {
    match named(call) {
        // One that is not known, or not for scripts, is refused when it is called.
        Some(command) if !command.row.flags.has(Flags::NOSCRIPT) => keeps_to_keys(command, call),
        _ => true,
    }
}

/// The command that is called; of a container, when its subcommand is told.
fn named(call: &Call) -> Option<CommandRef> {
    let text = |index: usize| match call.args.get(index) {
        Some(Argument::Text(text)) => Some(&**text),
        _ => None,
    };
    let command = table::by_name(text(0)?)?;
    match text(1) {
        Some(subcommand) if command.is_container => table::by_name(&[text(0)?, b"|", subcommand].concat()),
        _ => Some(command),
    }
}

/// Whether all keys of the command are declared ones, whatever the other arguments are.
fn keeps_to_keys(command: CommandRef, call: &Call) -> bool {
    if command.is_container {
        // Its subcommand is not told.
        return false;
    }
    match command.row.crossing {
        Crossing::Session => true,
        Crossing::OneShard | Crossing::Fanout(_) | Crossing::TwoHops => {
            let by_pattern = command.row.flags.has(Flags::READS_BY_PATTERN);
            !by_pattern
                && if command.keys_simple {
                    has_keys_in_place(command, call)
                } else {
                    has_known_keys(command, call)
                }
        }
        _ => false,
    }
}

/// For commands whose keys have fixed places.
fn has_keys_in_place(command: CommandRef, call: &Call) -> bool {
    let args = &call.args;
    let is_open = matches!(args.last(), Some(Argument::Any));
    // Values behind those that are told may come where a key belongs.
    let reach = if command.last_key < 0 { usize::MAX } else { command.last_key as usize };
    if is_open && reach >= args.len() - 1 {
        return false;
    }
    // With all of KEYS at the end, what comes where a key belongs is one of them; but counted from the end, places shift.
    if matches!(args.last(), Some(Argument::Keys)) && command.last_key < -1 {
        return false;
    }
    let is_key = |at: usize| matches!(args[at], Argument::Key | Argument::Keys);
    command.simple_keys(args.len()).all(is_key)
}

/// For the others, when all arguments are told.
fn has_known_keys(command: CommandRef, call: &Call) -> bool {
    let mut args = OwnedArgs::default();
    for arg in &call.args {
        match arg {
            Argument::Text(text) => args.push(text),
            // No number and no option.
            Argument::Key => args.push(b"\0key"),
            Argument::One | Argument::Keys | Argument::Any => return false,
        }
    }
    let mut positions = Vec::new();
    table::keys_of(command, args.as_args(), &mut positions);
    positions.iter().all(|&at| call.args[at as usize] == Argument::Key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::World;

    #[track_caller]
    fn check(script: &str, expected: bool) {
        let mut world = World::new(1);
        let scripts = &mut world.cores[0].scripts;
        let found = scripts.script(script.as_bytes()).expect("a script");
        assert_eq!(is_tame(scripts.found(found)), expected, "{script}");
    }

    #[test]
    fn scripts_that_keep_to_their_keys_are_tame() {
        let tame = |script: &str| check(script, true);
        tame("return 1");
        tame("return redis.call('GET', KEYS[1])");
        tame("return redis.call('SET', KEYS[1], ARGV[1])");
        tame("return redis.call('LPUSH', KEYS[1], ARGV[1])");
        tame("return redis.call('MSET', KEYS[1], 1, KEYS[2], 2)");
        tame("return redis.call('DEL', unpack(KEYS))");
        tame("return redis.call('RPUSH', KEYS[1], unpack(ARGV))");
        tame("return redis.call('OBJECT', 'ENCODING', KEYS[1])");
        tame("return redis.call('ZUNIONSTORE', KEYS[1], 2, KEYS[2], KEYS[3])");
        tame("return redis.call('PUBLISH', 'channel', 'message')");
        tame("return redis.call('NOSUCH', 'x') or redis.call('EVAL', 'x', 1, 'y')");
        tame("return redis.call('SELECT', 3)");
    }

    #[test]
    fn scripts_that_may_touch_other_keys_are_not() {
        let unknown = |script: &str| check(script, false);
        unknown("return redis.call('GET', 'name')");
        unknown("return redis.call('GET', ARGV[1])");
        unknown("return redis.call('DEL', KEYS[1], unpack(ARGV))");
        unknown("return redis.call('MSET', KEYS[1], unpack(ARGV))");
        unknown("return redis.call('GET', unpack(ARGV))");
        unknown("return redis.call('ZUNIONSTORE', KEYS[1], ARGV[1], KEYS[2])");
        unknown("return redis.call('SORT', KEYS[1], 'BY', 'w_*')");
        unknown("return redis.call('DBSIZE')");
        unknown("return redis.call('KEYS', '*')");
        unknown("return redis.call('SCAN', 0)");
        unknown("return redis.call('RANDOMKEY')");
        unknown("return redis.call('FLUSHALL')");
        unknown("return redis.call('OBJECT', ARGV[1], KEYS[1])");
        unknown("return redis.call(ARGV[1], KEYS[1])");
    }
}

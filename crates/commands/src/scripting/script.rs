//! SCRIPT LOAD, EXISTS, FLUSH and DEBUG.

use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use script::Refusal;
use stdx::Args;

/// SCRIPT LOAD script: its digest.
pub(super) fn load(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let found = ctx.core.scripts.load_script(args.at(2)).map_err(|refusal| match refusal {
        Refusal::Wrong(text) => text.into(),
        Refusal::Unknown | Refusal::NoMemory => CommandError::NO_INTERPRETER,
    })?;
    let name = ctx.core.scripts.found(found).name;
    ctx.out.bulk(&name);
    Ok(Outcome::Done)
}

/// SCRIPT EXISTS sha1 [sha1 ...]
pub(super) fn exists(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let digests = args.from(2);
    ctx.out.array(digests.len());
    for digest in digests.iter() {
        let known = script::sha::from_hex(digest).and_then(|sha| ctx.core.shared.scripts.script(&sha));
        ctx.out.int(known.is_some().into());
    }
    Ok(Outcome::Done)
}

/// SCRIPT FLUSH [ASYNC | SYNC]: what is forgotten is freed by each core when it runs a script next.
pub(super) fn flush(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    if !is_flush_mode(args) {
        return Err("ERR SCRIPT FLUSH only support SYNC|ASYNC option".into());
    }
    ctx.core.shared.scripts.flush_scripts();
    ctx.out.ok();
    Ok(Outcome::Done)
}

/// Whether what follows a FLUSH is nothing, `ASYNC` or `SYNC`.
pub(super) fn is_flush_mode(args: Args<'_>) -> bool {
    match args.len() {
        2 => true,
        3 => [&b"async"[..], b"sync"].iter().any(|mode| args.at(2).eq_ignore_ascii_case(mode)),
        _ => false,
    }
}

/// SCRIPT DEBUG YES | SYNC | NO: there is no debugger, so it can be off only.
pub(super) fn debug(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    match args.at(2).to_ascii_lowercase().as_slice() {
        b"no" => ctx.out.ok(),
        b"yes" | b"sync" => return Err("ERR there is no debugger of scripts in Lacewing".into()),
        _ => return Err("ERR Use SCRIPT DEBUG YES/SYNC/NO".into()),
    }
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use crate::testing::{World, check};

    const SHA: &str = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db";

    #[test]
    fn scripts_are_loaded_found_and_forgotten() {
        let mut world = World::new(1);
        world.check(&["SCRIPT LOAD 'return 1'"], &format!("$40 {SHA}"));
        world.check(&[&format!("SCRIPT EXISTS {} x", SHA.to_uppercase())], "*2 :1 :0");
        world.check(&[&format!("EVALSHA {} 0", SHA.to_uppercase())], ":1");
        world.check(&["SCRIPT FLUSH sync", &format!("SCRIPT EXISTS {SHA}")], "*1 :0");
        world.check(&[&format!("EVALSHA {SHA} 0")], "-NOSCRIPT No matching script. Please use EVAL.");
        world.check(&["EVAL 'return 1' 0", &format!("SCRIPT EXISTS {SHA}")], "*1 :1");
    }

    #[test]
    fn what_is_no_script_is_refused() {
        let error =
            "-ERR Error compiling script (new function): user_script:1: unexpected symbol near '<eof>'";
        check(&["SCRIPT LOAD 'return +'"], &error.replace("<eof>", "+"));
        check(&["SCRIPT LOAD '#!js'"], "-ERR Invalid script shebang");
        check(&["SCRIPT FLUSH now"], "-ERR SCRIPT FLUSH only support SYNC|ASYNC option");
        check(&["SCRIPT DEBUG no"], "+OK");
        check(&["SCRIPT DEBUG yes"], "-ERR there is no debugger of scripts in Lacewing");
        check(&["SCRIPT DEBUG x"], "-ERR Use SCRIPT DEBUG YES/SYNC/NO");
    }
}

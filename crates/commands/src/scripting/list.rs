//! FUNCTION LIST.

use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use script::{Function, Library};
use stdx::{Args, glob};

/// FUNCTION LIST [LIBRARYNAME library-name-pattern] [WITHCODE]
pub(super) fn list(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let wanted = Wanted::parse(args)?;
    let (libraries, _) = ctx.core.shared.scripts.libraries();
    let is_listed = |library: &Library| {
        wanted.pattern.is_none_or(|pattern| glob::matches(pattern, library.name.as_bytes(), true))
    };
    let at = ctx.out.deferred();
    let mut count = 0;
    for library in libraries.iter().filter(|library| is_listed(library)) {
        write_library(ctx, library, wanted.with_code);
        count += 1;
    }
    ctx.out.close_array(at, count);
    Ok(Outcome::Done)
}

#[derive(Default)]
struct Wanted<'a> {
    pattern: Option<&'a [u8]>,
    with_code: bool,
}

impl<'a> Wanted<'a> {
    fn parse(args: Args<'a>) -> Result<Self, CommandError> {
        let mut wanted = Self::default();
        let mut rest = args.from(2).iter();
        while let Some(option) = rest.next() {
            if !wanted.with_code && option.eq_ignore_ascii_case(b"withcode") {
                wanted.with_code = true;
            } else if wanted.pattern.is_none() && option.eq_ignore_ascii_case(b"libraryname") {
                let pattern = rest.next().ok_or("ERR library name argument was not given")?;
                wanted.pattern = Some(pattern);
            } else {
                let option = String::from_utf8_lossy(option);
                return Err(format!("ERR Unknown argument {option}").into());
            }
        }
        Ok(wanted)
    }
}

fn write_library(ctx: &mut Ctx<'_>, library: &Library, with_code: bool) {
    let out = &mut ctx.out;
    out.map(if with_code { 4 } else { 3 });
    out.bulk(b"library_name");
    out.bulk(library.name.as_bytes());
    out.bulk(b"engine");
    out.bulk(b"LUA");
    out.bulk(b"functions");
    out.array(library.functions.len());
    library.functions.iter().for_each(|function| write_function(ctx, function));
    if with_code {
        ctx.out.bulk(b"library_code");
        ctx.out.bulk(&library.code);
    }
}

fn write_function(ctx: &mut Ctx<'_>, function: &Function) {
    let out = &mut ctx.out;
    out.map(3);
    out.bulk(b"name");
    out.bulk(function.name.as_bytes());
    out.bulk(b"description");
    match &function.description {
        Some(description) => out.bulk(description),
        None => out.null(),
    }
    out.bulk(b"flags");
    out.set(function.flags.names().count());
    function.flags.names().for_each(|name| out.simple(name));
}

#[cfg(test)]
mod tests {
    use crate::testing::{World, check};

    #[test]
    fn libraries_are_described() {
        let mut world = World::new(1);
        world.run("FUNCTION LOAD \"#!lua name=b\\nredis.register_function{function_name='g', callback=function() end, flags={'no-writes','allow-stale'}, description='d'}\"");
        world.run("FUNCTION LOAD \"#!lua name=a\\nredis.register_function('f', function() end)\"");
        let a = "*6 $12 library_name $1 a $6 engine $3 LUA $9 functions *1 *6 $4 name $1 f $11 description $-1 $5 flags *0";
        let b = "*6 $12 library_name $1 b $6 engine $3 LUA $9 functions *1 *6 $4 name $1 g $11 description $1 d $5 flags *2 +no-writes +allow-stale";
        world.check(&["FUNCTION LIST"], &format!("*2 {a} {b}"));
        world.check(&["FUNCTION LIST libraryname B"], &format!("*1 {b}"));
        world.check(&["FUNCTION LIST LIBRARYNAME x*"], "*0");
        let reply = world.run("FUNCTION LIST WITHCODE LIBRARYNAME a");
        assert!(reply.contains("$12 library_code $"), "{reply}");
    }

    #[test]
    fn wrong_options_are_refused() {
        check(&["FUNCTION LIST x"], "-ERR Unknown argument x");
        check(&["FUNCTION LIST WITHCODE WITHCODE"], "-ERR Unknown argument WITHCODE");
        check(&["FUNCTION LIST LIBRARYNAME"], "-ERR library name argument was not given");
    }
}

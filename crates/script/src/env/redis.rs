//! redis: what scripts have of the server.

use crate::convert;
use crate::host::LogLevel;
use crate::lua::{Answer, Kind, Raise, RequestKind, Signal, Stack, push_error, suspend};
use crate::registry;

/// redis.REPL_NONE and its kin.
const REPL: &[(&str, u8)] =
    &[("REPL_NONE", 0), ("REPL_AOF", 1), ("REPL_SLAVE", 2), ("REPL_REPLICA", 2), ("REPL_ALL", REPL_ALL)];
/// Effects go to the log and to replicas.
pub(crate) const REPL_ALL: u8 = 3;

const LEVELS: &[(&str, LogLevel)] = &[
    ("LOG_DEBUG", LogLevel::Debug),
    ("LOG_VERBOSE", LogLevel::Verbose),
    ("LOG_NOTICE", LogLevel::Notice),
    ("LOG_WARNING", LogLevel::Warning),
];

/// For scripts of EVAL.
pub(super) fn push_for_scripts(stack: Stack<'_>) {
    push_for_functions(stack);
    super::add(stack, "breakpoint", |stack| {
        stack.push_bool(false);
        Ok(1)
    });
    super::add(stack, "debug", |_| Ok(0));
    super::add(stack, "replicate_commands", |stack| {
        stack.push_bool(true);
        Ok(1)
    });
}

/// For functions of libraries.
pub(super) fn push_for_functions(stack: Stack<'_>) {
    stack.push_table(0, 32);
    super::add(stack, "call", |stack| call(stack, true));
    super::add(stack, "pcall", |stack| call(stack, false));
    super::add(stack, "sha1hex", sha1hex);
    super::add(stack, "error_reply", error_reply);
    super::add(stack, "status_reply", status_reply);
    super::add(stack, "setresp", setresp);
    super::add(stack, "set_repl", set_repl);
    super::add(stack, "acl_check_cmd", acl_check_cmd);
    for (name, value) in REPL {
        super::add_number(stack, name, f64::from(*value));
    }
    add_common(stack);
}

/// For libraries while they load.
pub(super) fn push_for_loading(stack: Stack<'_>) {
    stack.push_table(0, 16);
    super::add(stack, "register_function", registry::register_function);
    add_common(stack);
}

fn add_common(stack: Stack<'_>) {
    super::add(stack, "log", log);
    for (name, level) in LEVELS {
        super::add_number(stack, name, f64::from(*level as u8));
    }
    super::add_text(stack, "REDIS_VERSION", REDIS_VERSION);
    super::add_number(stack, "REDIS_VERSION_NUM", f64::from(version_number(REDIS_VERSION)));
}

/// redis.call raises the errors that redis.pcall returns.
fn call(stack: Stack<'_>, raises: bool) -> Answer {
    let context = stack.context();
    if context.watch.load_until.get() != 0 {
        return Err(Raise::Redis("redis.call/pcall can only be called inside a script invocation"));
    }
    let read = convert::read_arguments(stack, &mut context.request.borrow_mut());
    match read {
        Ok(()) => {}
        Err(Raise::Redis(text)) if !raises => {
            push_error(stack, format!("ERR {text}").as_bytes());
            return Ok(1);
        }
        Err(raise) => return Err(raise),
    }
    stack.set_top(0);
    if ask(stack, RequestKind::Call) || !raises { Ok(1) } else { Err(Raise::Top) }
}

/// Has the request answered, and pushes the answer; false when it is an error.
fn ask(stack: Stack<'_>, kind: RequestKind) -> bool {
    let context = stack.context();
    context.request.borrow_mut().kind = kind;
    suspend(stack, Signal::Request);
    convert::push_reply(stack, &context.reply.borrow())
}

fn sha1hex(stack: Stack<'_>) -> Answer {
    if stack.top() != 1 {
        return Err(Raise::Redis("wrong number of arguments"));
    }
    let digest = crate::sha::hex(stack.text(1).unwrap_or_default());
    stack.push_bytes(&digest);
    Ok(1)
}

/// `{err = text}`, with a code in front when the text has none.
fn error_reply(stack: Stack<'_>) -> Answer {
    let Some(text) = stack.bytes(1).filter(|_| stack.top() == 1) else {
        push_error(stack, b"ERR wrong number or type of arguments");
        return Ok(1);
    };
    // As C takes it: to its first NUL.
    let text = &text[..memchr::memchr(0, text).unwrap_or(text.len())];
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let trimmed = |text: &[u8]| {
        let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let start = text.iter().position(|byte| !is_end(byte)).unwrap_or(text.len());
        let end = text.iter().rposition(|byte| !is_end(byte)).map_or(start, |last| last + 1);
        text[start..end].to_vec()
    };
    let error = match memchr::memchr(b' ', text) {
        Some(space) => [&text[..=space], &trimmed(&text[space + 1..])].concat(),
        None => [b"ERR ", &*trimmed(text)].concat(),
    };
    push_error(stack, &error);
    Ok(1)
}

fn status_reply(stack: Stack<'_>) -> Answer {
    if stack.top() != 1 || !stack.is(1, Kind::String) {
        push_error(stack, b"ERR wrong number or type of arguments");
        return Ok(1);
    }
    stack.push_table(0, 1);
    stack.push_copy(1);
    stack.set_field(-2, "ok");
    Ok(1)
}

fn setresp(stack: Stack<'_>) -> Answer {
    if stack.top() != 1 {
        return Err(Raise::Redis("redis.setresp() requires one argument."));
    }
    match stack.number(1) as i64 {
        2 => stack.context().resp3.set(false),
        3 => stack.context().resp3.set(true),
        _ => return Err(Raise::Redis("RESP version must be 2 or 3.")),
    }
    Ok(0)
}

fn set_repl(stack: Stack<'_>) -> Answer {
    if stack.top() != 1 {
        return Err(Raise::Redis("redis.set_repl() requires one argument."));
    }
    let wanted = stack.number(1) as i64;
    let Some(wanted) = u8::try_from(wanted).ok().filter(|wanted| wanted & !REPL_ALL == 0) else {
        let text = "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.";
        return Err(Raise::Redis(text));
    };
    stack.context().repl.set(wanted);
    Ok(0)
}

fn acl_check_cmd(stack: Stack<'_>) -> Answer {
    let context = stack.context();
    convert::read_arguments(stack, &mut context.request.borrow_mut())?;
    if !ask(stack, RequestKind::MayRun) {
        return Err(Raise::Redis("Invalid command passed to redis.acl_check_cmd()"));
    }
    stack.push_bool(stack.number(-1) != 0.0);
    Ok(1)
}

fn log(stack: Stack<'_>) -> Answer {
    let count = stack.top();
    if count < 2 {
        return Err(Raise::Redis("redis.log() requires two arguments or more."));
    }
    if !stack.is_numeric(1) {
        return Err(Raise::Redis("First argument must be a number (log level)."));
    }
    let wanted = stack.number(1) as i64;
    let Some((_, level)) = LEVELS.iter().find(|(_, level)| *level as i64 == wanted) else {
        return Err(Raise::Redis("Invalid debug level."));
    };
    let context = stack.context();
    let mut line = context.scratch.borrow_mut();
    line.clear();
    for index in 2..=count {
        let Some(text) = stack.text(index) else { continue };
        if index != 2 {
            line.push(b' ');
        }
        line.extend_from_slice(text);
    }
    (context.hooks.log)(*level, &line);
    Ok(0)
}

/// `7.2.5` as 0x00070205.
fn version_number(version: &str) -> u32 {
    version.split('.').fold(0, |number, part| number << 8 | part.parse().unwrap_or(0))
}

/// The Redis version whose behaviour scripts find.
pub(crate) const REDIS_VERSION: &str = "7.2.5";

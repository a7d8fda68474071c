//! redis.register_function: what a library says while it loads.

use crate::flags::ScriptFlags;
use crate::lua::{Answer, Kind, Raise, Ref, Stack};
use crate::shebang::{BAD_NAME, is_name};

/// A library on its way: what it has registered so far.
#[derive(Default)]
pub(crate) struct Loading {
    pub(crate) functions: Vec<Registered>,
}

/// A function that was registered.
pub(crate) struct Registered {
    pub(crate) name: String,
    pub(crate) description: Option<Vec<u8>>,
    pub(crate) flags: ScriptFlags,
    pub(crate) function: Ref,
}

/// What is wrong, without a code.
type Wrong = &'static str;

/// redis.register_function(name, function), or with a table of named arguments.
pub(crate) fn register_function(stack: Stack<'_>) -> Answer {
    if stack.context().loading.borrow().is_none() {
        return Err(Raise::Redis("redis.register_function can only be called on FUNCTION LOAD command"));
    }
    let read = match stack.top() {
        1 => named(stack),
        2 => positional(stack),
        _ => Err("wrong number of arguments to redis.register_function"),
    };
    let registered = read.map_err(Raise::Redis)?;
    let mut loading = stack.context().loading.borrow_mut();
    let functions = &mut loading.as_mut().expect("a library is being loaded").functions;
    let refusal = if !is_name(registered.name.as_bytes()) {
        BAD_NAME
    } else if functions.iter().any(|known| known.name == registered.name) {
        "Function already exists in the library"
    } else {
        functions.push(registered);
        return Ok(0);
    };
    stack.forget(registered.function);
    Err(Raise::Redis(refusal))
}

fn positional(stack: Stack<'_>) -> Result<Registered, Wrong> {
    let name = stack.text(1).ok_or("first argument to redis.register_function must be a string")?;
    if !stack.is(2, Kind::Function) {
        return Err("second argument to redis.register_function must be a function");
    }
    let name = String::from_utf8_lossy(name).into_owned();
    Ok(Registered { name, description: None, flags: ScriptFlags::default(), function: stack.keep() })
}

fn named(stack: Stack<'_>) -> Result<Registered, Wrong> {
    if !stack.is(1, Kind::Table) {
        return Err(
            "calling redis.register_function with a single argument is only applicable to Lua table \
                    (representing named arguments).",
        );
    }
    let (mut name, mut description, mut flags) = (None, None, ScriptFlags::default());
    let mut has_callback = false;
    stack.push_nil();
    while stack.next(1) {
        let key =
            stack.bytes(-2).ok_or("named argument key given to redis.register_function is not a string")?;
        match key.to_ascii_lowercase().as_slice() {
            b"function_name" => {
                let text = stack.text(-1);
                name = Some(
                    text.ok_or("function_name argument given to redis.register_function must be a string")?,
                );
            }
            b"description" => {
                let text = stack.text(-1);
                let text =
                    text.ok_or("description argument given to redis.register_function must be a string")?;
                description = Some(text.to_vec());
            }
            b"callback" => {
                if !stack.is(-1, Kind::Function) {
                    return Err("callback argument given to redis.register_function must be a function");
                }
                has_callback = true;
            }
            b"flags" => {
                if !stack.is(-1, Kind::Table) {
                    return Err(
                        "flags argument to redis.register_function must be a table representing function flags",
                    );
                }
                flags = read_flags(stack).ok_or("unknown flag given")?;
            }
            _ => return Err("unknown argument given to redis.register_function"),
        }
        stack.pop(1);
    }
    let name = name.ok_or("redis.register_function must get a function name argument")?;
    if !has_callback {
        return Err("redis.register_function must get a callback argument");
    }
    let name = String::from_utf8_lossy(name).into_owned();
    stack.push_nil();
    while stack.next(1) {
        // In any case of letters, as above.
        if stack.bytes(-2).is_some_and(|key| key.eq_ignore_ascii_case(b"callback")) {
            return Ok(Registered { name, description, flags, function: stack.keep() });
        }
        stack.pop(1);
    }
    unreachable!("the table has not changed")
}

/// The flags in the list on top; `None` when one is not known.
fn read_flags(stack: Stack<'_>) -> Option<ScriptFlags> {
    let mut flags = ScriptFlags::default();
    for index in 1.. {
        stack.get_item(-1, index);
        if stack.is(-1, Kind::Nil) {
            stack.pop(1);
            break;
        }
        let flag = stack.text(-1).and_then(|name| ScriptFlags::named(&name.to_ascii_lowercase()));
        stack.pop(1);
        flags = flags.or(flag?);
    }
    Some(flags)
}

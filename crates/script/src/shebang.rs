//! First lines: `#!lua flags=no-writes` of scripts, `#!lua name=mylib` of libraries.

use crate::flags::ScriptFlags;
use stdx::args::Args;
use stdx::words;

/// What a script's first line says, and how long it is (its line end not counted); without one it says nothing.
/// Errors: what is wrong with it, without a code.
pub(crate) fn of_script(body: &[u8]) -> Result<(ScriptFlags, usize), String> {
    if !body.starts_with(b"#!") {
        return Ok((ScriptFlags::UNSAID, 0));
    }
    let len = memchr::memchr(b'\n', body).ok_or("Invalid script shebang")?;
    let parts = split(&body[..len]).ok_or("Invalid engine in script shebang")?;
    let (engine, options) = parts.split_first().ok_or("Invalid engine in script shebang")?;
    if engine != b"#!lua" {
        return Err(format!("Unexpected engine in script shebang: {}", shown(engine)));
    }
    let mut flags = ScriptFlags::default();
    for option in options {
        let Some(list) = option.strip_prefix(b"flags=") else {
            return Err(format!("Unknown lua shebang option: {}", shown(option)));
        };
        for name in list.split(|&byte| byte == b',').filter(|_| !list.is_empty()) {
            let flag = ScriptFlags::named(name)
                .ok_or_else(|| format!("Unexpected flag in script shebang: {}", shown(name)))?;
            flags = flags.or(flag);
        }
    }
    Ok((flags, len))
}

/// What a library's first line says.
pub(crate) struct Header {
    /// Its name, which consists of letters, digits and underscores.
    pub(crate) name: String,
    /// Bytes of the first line, without its line end: there the code begins.
    pub(crate) len: usize,
}

/// What the first line of a library says. Errors: what is wrong with it, without a code.
pub(crate) fn of_library(code: &[u8]) -> Result<Header, String> {
    const INVALID: &str = "Invalid library metadata";
    if !code.starts_with(b"#!") {
        return Err("Missing library metadata".to_owned());
    }
    let len = memchr::memchr(b'\n', code).ok_or(INVALID)?;
    let parts = split(&code[..len]).ok_or(INVALID)?;
    let (engine, values) = parts.split_first().ok_or(INVALID)?;
    let mut name: Option<&[u8]> = None;
    for value in values {
        let is_name = value.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"name="));
        if !is_name {
            return Err(format!("Invalid metadata value given: {}", shown(value)));
        }
        if name.replace(&value[5..]).is_some() {
            return Err("Invalid metadata value, name argument was given multiple times".to_owned());
        }
    }
    let name = name.ok_or("Library name was not given")?;
    if !is_name(name) {
        return Err(BAD_NAME.to_owned());
    }
    if !engine[2..].eq_ignore_ascii_case(b"lua") {
        return Err(format!("Engine '{}' not found", shown(&engine[2..])));
    }
    Ok(Header { name: shown(name), len })
}

/// Whether a library or a function may have this name.
pub(crate) fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// What a wrong name is told.
pub(crate) const BAD_NAME: &str = "Library names can only contain letters, numbers, or underscores(_) and must be at least one character long";

fn split(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (mut bytes, mut spans) = (Vec::new(), Vec::new());
    words::split(line, &mut bytes, &mut spans).ok()?;
    Some(Args::new(&bytes, &spans).iter().map(<[u8]>::to_vec).collect())
}

fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_say_what_they_are() {
        let check = |body: &str, expected: Result<(ScriptFlags, usize), &str>| {
            assert_eq!(of_script(body.as_bytes()), expected.map_err(str::to_owned), "{body:?}");
        };
        check("return 1", Ok((ScriptFlags::UNSAID, 0)));
        check("#!lua\nreturn 1", Ok((ScriptFlags::default(), 5)));
        check("#!lua flags=\nreturn 1", Ok((ScriptFlags::default(), 12)));
        let both = ScriptFlags::NO_WRITES.or(ScriptFlags::ALLOW_STALE);
        check("#!lua flags=no-writes,allow-stale \nreturn 1", Ok((both, 34)));
        check("#!lua", Err("Invalid script shebang"));
        check("#!\"\n", Err("Invalid engine in script shebang"));
        check("#!js\n", Err("Unexpected engine in script shebang: #!js"));
        check("#!lua name=x\n", Err("Unknown lua shebang option: name=x"));
        check("#!lua flags=no-writes,x\n", Err("Unexpected flag in script shebang: x"));
        check("#!lua flags=no-writes,\n", Err("Unexpected flag in script shebang: "));
    }

    #[test]
    fn libraries_say_their_names() {
        let check = |code: &str, expected: Result<(&str, usize), &str>| {
            let got = of_library(code.as_bytes()).map(|header| (header.name, header.len));
            let expected = expected.map(|(name, len)| (name.to_owned(), len)).map_err(str::to_owned);
            assert_eq!(got, expected, "{code:?}");
        };
        check("#!lua name=lib\nx", Ok(("lib", 14)));
        check("#!LUA NAME=lib\nx", Ok(("lib", 14)));
        check("return 1", Err("Missing library metadata"));
        check("#!lua name=lib", Err("Invalid library metadata"));
        check("#!lua\n", Err("Library name was not given"));
        check("#!lua name=a name=b\n", Err("Invalid metadata value, name argument was given multiple times"));
        check("#!lua name=a x=b\n", Err("Invalid metadata value given: x=b"));
        check("#!lua name=a-b\n", Err(BAD_NAME));
        check("#!js name=a\n", Err("Engine 'js' not found"));
    }
}

//! `string.find`, `match`, `gmatch` and `gsub`: Lua's, but with a matcher that gives way and can be stopped.
//!
//! Like guards these are called by Lua directly, and let errors pass: their frames own nothing.

use super::hook;
use super::matcher::{Captured, Fault, Matcher};
use super::stack::{Kind, Stack};
use super::{UPVALUE_1, upvalue};
use mlua_sys as ffi;
use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Puts them in the place of Lua's own into the table on top.
pub(crate) fn replace(stack: Stack<'_>) {
    for (name, function) in
        [("find", find as ffi::lua_CFunction), ("match", match_), ("gmatch", gmatch), ("gsub", gsub)]
    {
        stack.push_raw(function);
        stack.set_field(-2, name);
    }
    // As Lua 5.0 called it.
    stack.get_field(-1, "gmatch");
    stack.set_field(-2, "gfind");
}

unsafe extern "C-unwind" fn find(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua calls with its own state.
    unsafe { search(state, true) }
}

unsafe extern "C-unwind" fn match_(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: as above.
    unsafe { search(state, false) }
}

/// The first match from argument 3 on: its captures, behind its place if `is_find`.
unsafe fn search(state: *mut ffi::lua_State, is_find: bool) -> c_int {
    // SAFETY: as above.
    unsafe {
        let stack = Stack::from_raw(state);
        let (text, pattern) = (argument(stack, 1), argument(stack, 2));
        let start = place(ffi::luaL_optinteger(state, 3, 1) as i64, text.len());
        if is_find && (stack.boolean(4) || is_plain(pattern)) {
            let Some(at) = memchr::memmem::find(&text[start..], pattern) else {
                stack.push_nil();
                return 1;
            };
            stack.push_number((start + at + 1) as f64);
            stack.push_number((start + at + pattern.len()) as f64);
            return 2;
        }
        let goes_on = || hook::goes_on(stack.context());
        let mut matcher = Matcher::new(text, pattern, &goes_on);
        let from = usize::from(pattern.first() == Some(&b'^'));
        let last = if from == 1 { start } else { text.len() };
        for at in start..=last {
            let Some(end) = settle(state, matcher.find(at, from)) else { continue };
            if !is_find {
                return push_captures(state, &matcher, at..end, true);
            }
            stack.push_number((at + 1) as f64);
            stack.push_number(end as f64);
            return 2 + push_captures(state, &matcher, at..end, false);
        }
        stack.push_nil();
        1
    }
}

unsafe extern "C-unwind" fn gmatch(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: as above.
    unsafe {
        let stack = Stack::from_raw(state);
        argument(stack, 1);
        argument(stack, 2);
        stack.set_top(2);
        stack.push_number(0.0);
        ffi::lua_pushcclosure(state, gmatch_next, 3);
        1
    }
}

/// The next match: upvalues are the text, the pattern, and where to go on.
unsafe extern "C-unwind" fn gmatch_next(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: as above; the upvalues are strings.
    unsafe {
        let stack = Stack::from_raw(state);
        let text = stack.text(UPVALUE_1).expect("a string");
        let pattern = stack.text(upvalue(2)).expect("a string");
        let goes_on = || hook::goes_on(stack.context());
        let mut matcher = Matcher::new(text, pattern, &goes_on);
        for at in stack.number(upvalue(3)) as usize..=text.len() {
            let Some(end) = settle(state, matcher.find(at, 0)) else { continue };
            // An empty match is not found again.
            let next = if end == at { end + 1 } else { end };
            stack.push_number(next as f64);
            stack.replace(upvalue(3));
            return push_captures(state, &matcher, at..end, true);
        }
        0
    }
}

unsafe extern "C-unwind" fn gsub(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: as above; the buffer is Lua's, which gives it what it holds back when an error leaves this frame.
    unsafe {
        let stack = Stack::from_raw(state);
        let (text, pattern) = (argument(stack, 1), argument(stack, 2));
        let kind = stack.kind(3);
        let most = ffi::luaL_optinteger(state, 4, text.len() as ffi::lua_Integer + 1) as i64;
        if !matches!(kind, Kind::Number | Kind::String | Kind::Function | Kind::Table) {
            ffi::luaL_argerror(state, 3, c"string/function/table expected".as_ptr());
        }
        let goes_on = || hook::goes_on(stack.context());
        let mut matcher = Matcher::new(text, pattern, &goes_on);
        let from = usize::from(pattern.first() == Some(&b'^'));
        let mut out = MaybeUninit::<ffi::luaL_Buffer>::uninit();
        let out = out.as_mut_ptr();
        ffi::luaL_buffinit(state, out);
        let (mut at, mut count) = (0, 0);
        while count < most {
            let end = settle(state, matcher.find(at, from));
            if let Some(end) = end {
                count += 1;
                add_replacement(state, out, &matcher, at..end, kind);
            }
            match end {
                Some(end) if end > at => at = end,
                _ if at < text.len() => {
                    add(out, &text[at..=at]);
                    at += 1;
                }
                _ => break,
            }
            if from == 1 {
                break;
            }
        }
        add(out, &text[at..]);
        ffi::luaL_pushresult(out);
        stack.push_number(count as f64);
        2
    }
}

/// What takes the place of the text `whole`, which has matched.
unsafe fn add_replacement(
    state: *mut ffi::lua_State,
    out: *mut ffi::luaL_Buffer,
    matcher: &Matcher<'_>,
    whole: Range<usize>,
    kind: Kind,
) {
    // SAFETY: as above.
    unsafe {
        let stack = Stack::from_raw(state);
        match kind {
            Kind::Function => {
                stack.push_copy(3);
                let count = push_captures(state, matcher, whole.clone(), true);
                ffi::lua_call(state, count, 1);
            }
            Kind::Table => {
                push_capture(state, matcher, 0, whole.clone());
                ffi::lua_gettable(state, 3);
            }
            _ => return add_template(state, out, matcher, &whole),
        }
        if !stack.boolean(-1) {
            stack.pop(1);
            push_text(stack, matcher, whole);
        } else if !matches!(stack.kind(-1), Kind::String | Kind::Number) {
            let name = ffi::luaL_typename(state, -1);
            ffi::luaL_error(state, c"invalid replacement value (a %s)".as_ptr(), name);
        }
        ffi::luaL_addvalue(out);
    }
}

/// Argument 3, with captures in the place of `%0` to `%9`.
unsafe fn add_template(
    state: *mut ffi::lua_State,
    out: *mut ffi::luaL_Buffer,
    matcher: &Matcher<'_>,
    whole: &Range<usize>,
) {
    // SAFETY: as above.
    unsafe {
        let template = Stack::from_raw(state).text(3).expect("a string or a number");
        let mut rest = template;
        while let Some(percent) = memchr::memchr(b'%', rest) {
            add(out, &rest[..percent]);
            // As in Lua, behind the last one there is a NUL.
            let sign = rest.get(percent + 1).copied().unwrap_or(0);
            rest = rest.get(percent + 2..).unwrap_or_default();
            match sign {
                b'0' => {
                    push_text(Stack::from_raw(state), matcher, whole.clone());
                    ffi::luaL_addvalue(out);
                }
                b'1'..=b'9' => {
                    push_capture(state, matcher, usize::from(sign - b'1'), whole.clone());
                    ffi::luaL_addvalue(out);
                }
                other => add(out, &[other]),
            }
        }
        add(out, rest);
    }
}

unsafe fn add(out: *mut ffi::luaL_Buffer, bytes: &[u8]) {
    // SAFETY: as above; Lua copies the bytes.
    unsafe { ffi::luaL_addlstring(out, bytes.as_ptr().cast(), bytes.len()) }
}

/// Pushes what was captured, or, if there is nothing and `or_whole`, what has matched. Returns how many values.
unsafe fn push_captures(
    state: *mut ffi::lua_State,
    matcher: &Matcher<'_>,
    whole: Range<usize>,
    or_whole: bool,
) -> c_int {
    let count = if matcher.captures() == 0 && or_whole { 1 } else { matcher.captures() };
    // SAFETY: as above.
    unsafe {
        ffi::luaL_checkstack(state, count as c_int, c"too many captures".as_ptr());
        for index in 0..count {
            push_capture(state, matcher, index, whole.clone());
        }
    }
    count as c_int
}

unsafe fn push_capture(state: *mut ffi::lua_State, matcher: &Matcher<'_>, index: usize, whole: Range<usize>) {
    // SAFETY: as above.
    unsafe {
        let stack = Stack::from_raw(state);
        match matcher.captured(index, whole) {
            Ok(Captured::Text(text)) => stack.push_bytes(text),
            Ok(Captured::Position(position)) => stack.push_number(position as f64),
            Err(fault) => raise(state, fault),
        }
    }
}

fn push_text(stack: Stack<'_>, matcher: &Matcher<'_>, whole: Range<usize>) {
    stack.push_bytes(matcher.text(whole));
}

/// The end of a match, if there is one; raises what is wrong.
unsafe fn settle(state: *mut ffi::lua_State, found: Result<Option<usize>, Fault>) -> Option<usize> {
    match found {
        Ok(end) => end,
        // SAFETY: as above.
        Err(fault) => unsafe { raise(state, fault) },
    }
}

unsafe fn raise(state: *mut ffi::lua_State, fault: Fault) -> ! {
    // SAFETY: as above.
    unsafe {
        if fault == Fault::Stopped {
            hook::end(state);
        }
        ffi::luaL_error(state, fault.text().as_ptr());
    }
    unreachable!("an error was raised")
}

/// Argument `index`, a string or a number, which becomes one; raises an error when it is neither.
unsafe fn argument<'s>(stack: Stack<'s>, index: c_int) -> &'s [u8] {
    let mut len = 0;
    // SAFETY: as above; what is on the stack stays there while its function runs.
    unsafe {
        let start = ffi::luaL_checklstring(stack.raw(), index, &raw mut len);
        std::slice::from_raw_parts(start.cast(), len)
    }
}

/// Where a search from the position `init` on begins, counted from 0: positions count from 1, negative ones from the end.
fn place(init: i64, len: usize) -> usize {
    let position = if init < 0 { init.saturating_add(len as i64).saturating_add(1) } else { init };
    usize::try_from(position - 1).unwrap_or(0).min(len)
}

/// Whether nothing in a pattern, up to its first NUL, means anything but itself.
fn is_plain(pattern: &[u8]) -> bool {
    let mut bytes = pattern.iter().take_while(|&&byte| byte != 0);
    !bytes.any(|byte| b"^$*+?.([%-".contains(byte))
}

//! What natives see of Lua: the values on its stack.
//!
//! None of these raises a Lua error, so that a native never ends in its middle: tables are read and written raw, memory
//! is given to natives always ([`super::context::Memory`]), and what a native has to complain of it returns. A native has
//! room for 20 values; for more it asks [`Stack::reserve`].
//!
//! A native's arguments stay on its stack until it returns, and so do what it reads of them: what [`Stack::bytes`] gives
//! lives as long as the string is reachable, and natives do not drop what they still read.

use super::context::Context;
use super::native::{Native, trampoline};
use mlua_sys as ffi;
use std::ffi::{CStr, c_int};
use std::marker::PhantomData;

/// The values of the function that runs: 1 is its first argument, -1 the last value pushed.
#[derive(Clone, Copy)]
pub(crate) struct Stack<'s> {
    state: *mut ffi::lua_State,
    lives: PhantomData<&'s ()>,
}

/// What kind of value there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Past the last argument.
    None,
    Nil,
    Boolean,
    LightUserdata,
    Number,
    String,
    Table,
    Function,
    Userdata,
    Thread,
}

/// A value kept where only natives reach it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ref(c_int);

impl Ref {
    pub(crate) const NONE: Self = Self(ffi::LUA_NOREF);
}

impl Kind {
    /// As Lua calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "no value",
            Self::Nil => "nil",
            Self::Boolean => "boolean",
            Self::LightUserdata | Self::Userdata => "userdata",
            Self::Number => "number",
            Self::String => "string",
            Self::Table => "table",
            Self::Function => "function",
            Self::Thread => "thread",
        }
    }
}

// SAFETY of all blocks below: `state` is a Lua state that lives, see `from_raw`; indices are of values that are there or
// give None, which the functions called accept; none of the functions called raises an error as they are called here.
impl<'s> Stack<'s> {
    /// # Safety
    /// `state` is a state that lives for `'s`, and no other thread uses it.
    pub(crate) unsafe fn from_raw(state: *mut ffi::lua_State) -> Self {
        Self { state, lives: PhantomData }
    }

    pub(crate) fn raw(self) -> *mut ffi::lua_State {
        self.state
    }

    pub(crate) fn context(self) -> &'s Context {
        let mut data = std::ptr::null_mut();
        // SAFETY: as above; the allocator's user data is the context, which outlives its interpreter.
        unsafe {
            ffi::lua_getallocf(self.state, &raw mut data);
            &*data.cast::<Context>()
        }
    }

    /// How many values there are.
    #[inline]
    pub(crate) fn top(self) -> i32 {
        // SAFETY: as above.
        unsafe { ffi::lua_gettop(self.state) }
    }

    /// Drops the values above `top`, or fills up with nil.
    #[inline]
    pub(crate) fn set_top(self, top: i32) {
        // SAFETY: as above.
        unsafe { ffi::lua_settop(self.state, top) }
    }

    #[inline]
    pub(crate) fn pop(self, count: i32) {
        self.set_top(-count - 1);
    }

    /// Makes room for `count` more values; false when a stack does not grow so large.
    #[inline]
    pub(crate) fn reserve(self, count: i32) -> bool {
        // SAFETY: as above.
        unsafe { ffi::lua_checkstack(self.state, count) != 0 }
    }

    #[inline]
    pub(crate) fn kind(self, index: i32) -> Kind {
        // SAFETY: as above.
        match unsafe { ffi::lua_type(self.state, index) } {
            ffi::LUA_TNIL => Kind::Nil,
            ffi::LUA_TBOOLEAN => Kind::Boolean,
            ffi::LUA_TLIGHTUSERDATA => Kind::LightUserdata,
            ffi::LUA_TNUMBER => Kind::Number,
            ffi::LUA_TSTRING => Kind::String,
            ffi::LUA_TTABLE => Kind::Table,
            ffi::LUA_TFUNCTION => Kind::Function,
            ffi::LUA_TUSERDATA => Kind::Userdata,
            ffi::LUA_TTHREAD => Kind::Thread,
            _ => Kind::None,
        }
    }

    #[inline]
    pub(crate) fn is(self, index: i32, kind: Kind) -> bool {
        self.kind(index) == kind
    }

    /// A string's bytes; `None` for anything else.
    #[inline]
    pub(crate) fn bytes(self, index: i32) -> Option<&'s [u8]> {
        if self.kind(index) == Kind::String { self.text(index) } else { None }
    }

    /// The bytes of a string, or of a number as Lua prints it, which then becomes a string where it stands.
    #[inline]
    pub(crate) fn text(self, index: i32) -> Option<&'s [u8]> {
        let mut len = 0;
        // SAFETY: as above; the string has `len` bytes and stays where it is while it is reachable.
        unsafe {
            let start = ffi::lua_tolstring(self.state, index, &raw mut len);
            if start.is_null() { None } else { Some(std::slice::from_raw_parts(start.cast(), len)) }
        }
    }

    /// Whether it is a number, or a string that Lua takes for one.
    pub(crate) fn is_numeric(self, index: i32) -> bool {
        // SAFETY: as above.
        unsafe { ffi::lua_isnumber(self.state, index) != 0 }
    }

    /// A number, or what a string says as one; 0 for anything else.
    #[inline]
    pub(crate) fn number(self, index: i32) -> f64 {
        // SAFETY: as above.
        unsafe { ffi::lua_tonumber(self.state, index) }
    }

    /// False for nil and false alone.
    #[inline]
    pub(crate) fn boolean(self, index: i32) -> bool {
        // SAFETY: as above.
        unsafe { ffi::lua_toboolean(self.state, index) != 0 }
    }

    /// `#value` without metamethods.
    pub(crate) fn len(self, index: i32) -> usize {
        // SAFETY: as above.
        unsafe { ffi::lua_objlen(self.state, index) }
    }

    /// What tells this table, function, thread or userdata from others.
    pub(crate) fn address(self, index: i32) -> usize {
        // SAFETY: as above.
        unsafe { ffi::lua_topointer(self.state, index) as usize }
    }

    pub(crate) fn is_native(self, index: i32) -> bool {
        // SAFETY: as above.
        unsafe { ffi::lua_iscfunction(self.state, index) != 0 }
    }

    #[inline]
    pub(crate) fn push_nil(self) {
        // SAFETY: as above.
        unsafe { ffi::lua_pushnil(self.state) }
    }

    #[inline]
    pub(crate) fn push_bool(self, value: bool) {
        // SAFETY: as above.
        unsafe { ffi::lua_pushboolean(self.state, c_int::from(value)) }
    }

    #[inline]
    pub(crate) fn push_number(self, value: f64) {
        // SAFETY: as above.
        unsafe { ffi::lua_pushnumber(self.state, value) }
    }

    #[inline]
    pub(crate) fn push_bytes(self, bytes: &[u8]) {
        // SAFETY: as above; Lua copies the bytes.
        unsafe { ffi::lua_pushlstring_(self.state, bytes.as_ptr().cast(), bytes.len()) }
    }

    /// cjson.null.
    pub(crate) fn push_null(self) {
        // SAFETY: as above.
        unsafe { ffi::lua_pushlightuserdata(self.state, std::ptr::null_mut()) }
    }

    /// A value that scripts cannot make.
    pub(crate) fn push_mark(self) {
        let address = std::ptr::from_ref(self.context()).cast_mut().cast();
        // SAFETY: as above.
        unsafe { ffi::lua_pushlightuserdata(self.state, address) }
    }

    pub(crate) fn is_null(self, index: i32) -> bool {
        // SAFETY: as above.
        self.is(index, Kind::LightUserdata) && unsafe { ffi::lua_touserdata(self.state, index).is_null() }
    }

    /// A new table with room for `items` at 1, 2, .. and `fields` others.
    #[inline]
    pub(crate) fn push_table(self, items: usize, fields: usize) {
        // Room is a hint: a length that a client made up is not believed.
        let (items, fields) = (items.min(ROOM_MAX) as c_int, fields.min(ROOM_MAX) as c_int);
        // SAFETY: as above.
        unsafe { ffi::lua_createtable(self.state, items, fields) }
    }

    #[inline]
    pub(crate) fn push_copy(self, index: i32) {
        // SAFETY: as above.
        unsafe { ffi::lua_pushvalue(self.state, index) }
    }

    /// A native as a function value, with the topmost `upvalues` values, which it takes.
    pub(crate) fn push_native<N: Native>(self, native: N, upvalues: i32) {
        // SAFETY: as above.
        unsafe { ffi::lua_pushcclosure(self.state, trampoline(native), upvalues) }
    }

    /// A function that is called as Lua calls C functions.
    pub(crate) fn push_raw(self, function: ffi::lua_CFunction) {
        // SAFETY: as above.
        unsafe { ffi::lua_pushcclosure(self.state, function, 0) }
    }

    /// Moves the topmost value to `index`, the others up.
    pub(crate) fn insert(self, index: i32) {
        // SAFETY: as above.
        unsafe { ffi::lua_insert(self.state, index) }
    }

    /// Moves the topmost value to where `index` is.
    pub(crate) fn replace(self, index: i32) {
        // SAFETY: as above.
        unsafe { ffi::lua_replace(self.state, index) }
    }

    pub(crate) fn remove(self, index: i32) {
        // SAFETY: as above.
        unsafe { ffi::lua_remove(self.state, index) }
    }

    /// `table[key]`; the key is on top, and its value takes its place.
    #[inline]
    pub(crate) fn get(self, table: i32) {
        // SAFETY: as above.
        unsafe { ffi::lua_rawget_(self.state, table) }
    }

    /// Pushes `table[index]`.
    #[inline]
    pub(crate) fn get_item(self, table: i32, index: i32) {
        // SAFETY: as above.
        unsafe { ffi::lua_rawgeti_(self.state, table, index) }
    }

    /// Pushes `table[name]`.
    #[inline]
    pub(crate) fn get_field(self, table: i32, name: &str) {
        let table = self.absolute(table);
        self.push_bytes(name.as_bytes());
        self.get(table);
    }

    /// `table[key] = value`; the value is on top and the key below, both are taken. The key is neither nil nor NaN.
    #[inline]
    pub(crate) fn set(self, table: i32) {
        // SAFETY: as above.
        unsafe { ffi::lua_rawset(self.state, table) }
    }

    /// `table[index] = value` with the topmost value, which is taken.
    #[inline]
    pub(crate) fn set_item(self, table: i32, index: i32) {
        // SAFETY: as above.
        unsafe { ffi::lua_rawseti_(self.state, table, index) }
    }

    /// `table[name] = value` with the topmost value, which is taken.
    pub(crate) fn set_field(self, table: i32, name: &str) {
        let table = self.absolute(table);
        self.push_bytes(name.as_bytes());
        self.insert(-2);
        self.set(table);
    }

    /// Replaces the topmost key by the next one and its value; at the end takes the key and returns false. Start with
    /// nil. Keys are those of this table, and none was added meanwhile.
    #[inline]
    pub(crate) fn next(self, table: i32) -> bool {
        // SAFETY: as above.
        unsafe { ffi::lua_next(self.state, table) != 0 }
    }

    /// Pushes the metatable, if there is one.
    pub(crate) fn push_metatable(self, index: i32) -> bool {
        // SAFETY: as above.
        unsafe { ffi::lua_getmetatable(self.state, index) != 0 }
    }

    /// Takes the topmost value, a table or nil, as the metatable of the value at `index`.
    pub(crate) fn set_metatable(self, index: i32) {
        // SAFETY: as above.
        unsafe { ffi::lua_setmetatable(self.state, index) };
    }

    /// Keeps the topmost value, which is taken.
    pub(crate) fn keep(self) -> Ref {
        // SAFETY: as above.
        Ref(unsafe { ffi::luaL_ref(self.state, ffi::LUA_REGISTRYINDEX) })
    }

    /// Pushes what was kept.
    #[inline]
    pub(crate) fn push_kept(self, kept: Ref) {
        self.get_item(ffi::LUA_REGISTRYINDEX, kept.0);
    }

    /// Keeps it no longer.
    pub(crate) fn forget(self, kept: Ref) {
        // SAFETY: as above.
        unsafe { ffi::luaL_unref(self.state, ffi::LUA_REGISTRYINDEX, kept.0) }
    }

    /// Sets the places of all that is [`Fixed`] aside, in an interpreter that keeps nothing yet.
    pub(crate) fn reserve_fixed(self) {
        for place in 1..=Fixed::LAST as i32 {
            self.push_bool(false);
            assert_eq!(self.keep(), Ref(place), "an interpreter's first values are its own");
        }
    }

    /// Keeps the topmost value, which is taken, in a place of the interpreter's own.
    pub(crate) fn keep_fixed(self, fixed: Fixed) {
        self.set_item(ffi::LUA_REGISTRYINDEX, fixed as i32);
    }

    #[inline]
    pub(crate) fn push_fixed(self, fixed: Fixed) {
        self.get_item(ffi::LUA_REGISTRYINDEX, fixed as i32);
    }

    /// Compiles `source`, pushing the function, or the error's text. Only text: Lua 5.1 trusts compiled code blindly.
    pub(crate) fn compile(self, source: &[u8], name: &CStr) -> bool {
        // Compiled code gets the error that its first byte, in front of which nothing may stand, is as text.
        let source = if source.first() == Some(&ffi::LUA_SIGNATURE[0]) { b" \x1b" } else { source };
        // The compiler does not hold on to the name while it works; the stack does.
        self.push_bytes(name.to_bytes());
        // SAFETY: as above; errors are caught inside.
        let status =
            unsafe { ffi::luaL_loadbuffer(self.state, source.as_ptr().cast(), source.len(), name.as_ptr()) };
        self.remove(-2);
        status == ffi::LUA_OK
    }

    /// Where the function at `level` of the calls under way is: its source, its line, and whether it is native.
    pub(crate) fn place(self, level: i32) -> Option<Place<'s>> {
        // SAFETY: as above; a zeroed record is a valid one, Lua fills it, and its source lives as long as its function.
        unsafe {
            let mut record: ffi::lua_Debug = std::mem::zeroed();
            if ffi::lua_getstack(self.state, level, &raw mut record) == 0
                || ffi::lua_getinfo(self.state, c"Sl".as_ptr(), &raw mut record) == 0
            {
                return None;
            }
            let is_native = CStr::from_ptr(record.what) == c"C";
            Some(Place {
                source: CStr::from_ptr(record.source).to_bytes(),
                line: record.currentline,
                is_native,
            })
        }
    }

    /// Collects all garbage.
    pub(crate) fn collect(self) {
        // SAFETY: as above.
        unsafe { ffi::lua_gc(self.state, ffi::LUA_GCCOLLECT, 0) };
    }

    /// The index counted from the bottom.
    pub(crate) fn absolute(self, index: i32) -> i32 {
        if index < 0 && index > ffi::LUA_REGISTRYINDEX { self.top() + index + 1 } else { index }
    }
}

/// Where a function is.
pub(crate) struct Place<'s> {
    pub(crate) source: &'s [u8],
    pub(crate) line: i32,
    pub(crate) is_native: bool,
}

/// What an interpreter keeps for itself from its start.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fixed {
    /// The globals of EVAL's scripts, as scripts see them.
    Globals = 1,
    /// The table behind them.
    GlobalsTable,
    /// The strings that name them.
    KeysName,
    ArgvName,
    /// KEYS and ARGV of scripts that only read them: used again and again.
    SharedKeys,
    SharedArgv,
    /// The globals of function libraries, as they see them, and what stands behind them while they load and while they
    /// run.
    LibraryGlobals,
    LoadTable,
    RunTable,
    /// Marks the tables that scripts cannot change: their metatables have the real table here.
    ProxyMark,
    /// The metatable of strings, as scripts see it.
    StringMetatable,
}

impl Fixed {
    const LAST: Self = Self::StringMetatable;
}

/// Tables are not made larger than this before something is in them.
const ROOM_MAX: usize = 1 << 16;

/// Index of a native's first upvalue.
pub(crate) const UPVALUE_1: i32 = upvalue(1);

/// Index of a native's upvalue `n`, from 1.
pub(crate) const fn upvalue(n: i32) -> i32 {
    ffi::lua_upvalueindex(n)
}

/// The globals of a thread.
pub(crate) const GLOBALS: i32 = ffi::LUA_GLOBALSINDEX;

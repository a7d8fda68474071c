//! What stands in a file where a value's type could: the numbers of everything else.

/// Slot, its keys, those that expire: a hint of servers that keep a dictionary per slot.
pub(crate) const SLOT_INFO: u8 = 244;
/// The code of a library.
pub(crate) const FUNCTION2: u8 = 245;
/// A library as release candidates of Redis 7.0 wrote it.
pub(crate) const FUNCTION_BEFORE_RELEASE: u8 = 246;
/// What a module keeps beside keys.
pub(crate) const MODULE_AUX: u8 = 247;
/// Of the key to come: seconds since it was used (LRU).
pub(crate) const IDLE: u8 = 248;
/// Of the key to come: how often it is used (LFU).
pub(crate) const FREQ: u8 = 249;
/// A name and a value that say something of the file.
pub(crate) const AUX: u8 = 250;
/// Keys of the database, those that expire: a hint.
pub(crate) const RESIZE_DB: u8 = 251;
/// Of the key to come: when it expires, in milliseconds.
pub(crate) const EXPIRY_MS: u8 = 252;
/// The same in seconds, in four bytes.
pub(crate) const EXPIRY_S: u8 = 253;
/// The database of the keys to come.
pub(crate) const SELECT_DB: u8 = 254;
/// The end; since version 5 the checksum follows.
pub(crate) const END: u8 = 255;

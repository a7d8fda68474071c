//! Every error that a command can answer, in Redis's words: the one list.

use std::borrow::Cow;

/// What a command is told that adds to memory when that is full.
pub const OUT_OF_MEMORY: &str = "OOM command not allowed when used memory > 'maxmemory'.";

/// A command's failure. [`CommandError::text`] is the RESP error line, code first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// The key holds another kind of value.
    WrongType,
    /// An argument is not an integer, or does not fit 64 bits.
    NotInteger,
    /// An argument is not a float.
    NotFloat,
    /// The options do not fit together or are not known.
    Syntax,
    /// Wrong number of arguments for the named command (`get`, `client|kill`).
    Arity(Cow<'static, str>),
    /// An expiry that is not positive or overflows, for the named command.
    InvalidExpire(&'static str),
    /// A database number out of range.
    DbIndex,
    /// RENAME and others need the key to be there.
    NoSuchKey,
    /// A value would pass proto-max-bulk-len.
    StringTooLong,
    /// Any other text, code first. It repeats a client's own bytes as they came, UTF-8 or not.
    Text(Cow<'static, [u8]>),
}

impl From<keyspace::WrongKind> for CommandError {
    fn from(_: keyspace::WrongKind) -> Self {
        Self::WrongType
    }
}

/// Texts that one or two commands answer.
#[rustfmt::skip]
impl CommandError {
    /// RESTORE.
    pub const BUSY_KEY: Self = text("BUSYKEY Target key name already exists.");
    /// RESTORE.
    pub const PAYLOAD_FOREIGN: Self = text("ERR DUMP payload version or checksum are wrong");
    /// RESTORE.
    pub const PAYLOAD_BAD: Self = text("ERR Bad data format");
    /// RESTORE.
    pub const TTL_NEGATIVE: Self = text("ERR Invalid TTL value, must be >= 0");
    /// RESTORE.
    pub const IDLETIME_NEGATIVE: Self = text("ERR Invalid IDLETIME value, must be >= 0");
    /// RESTORE.
    pub const FREQ_RANGE: Self = text("ERR Invalid FREQ value, must be >= 0 and <= 255");
    /// COPY, MOVE.
    pub const SAME_OBJECT: Self = text("ERR source and destination objects are the same");
    /// COPY, MOVE.
    pub const PAST_32_BITS: Self = text("ERR value is out of range, value must between -2147483648 and 2147483647");
    /// SWAPDB.
    pub const FIRST_DB: Self = text("ERR invalid first DB index");
    /// SWAPDB.
    pub const SECOND_DB: Self = text("ERR invalid second DB index");
    /// SCAN.
    pub const CURSOR: Self = text("ERR invalid cursor");
    /// EXPIRE and its kin.
    pub const NX_AND_OTHERS: Self = text("ERR NX and XX, GT or LT options at the same time are not compatible");
    /// EXPIRE and its kin.
    pub const GT_AND_LT: Self = text("ERR GT and LT options at the same time are not compatible");
    /// OBJECT FREQ.
    pub const USE_NOT_COUNTED: Self = text("ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.");
    /// OBJECT IDLETIME.
    pub const USE_NOT_TIMED: Self = text("ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.");
    /// SETRANGE.
    pub const OFFSET_RANGE: Self = text("ERR offset is out of range");
    /// INCR and its kin.
    pub const OVERFLOW: Self = text("ERR increment or decrement would overflow");
    /// DECRBY.
    pub const DECREMENT_OVERFLOW: Self = text("ERR decrement would overflow");
    /// INCRBYFLOAT.
    pub const NOT_FINITE: Self = text("ERR increment would produce NaN or Infinity");
    /// SETBIT, GETBIT, BITFIELD.
    pub const BIT_OFFSET: Self = text("ERR bit offset is not an integer or out of range");
    /// SETBIT.
    pub const BIT: Self = text("ERR bit is not an integer or out of range");
    /// BITPOS.
    pub const BIT_WANTED: Self = text("ERR The bit argument must be 1 or 0.");
    /// BITOP.
    pub const BITOP_NOT: Self = text("ERR BITOP NOT must be called with a single source key.");
    /// WAITAOF.
    pub const NOT_ZERO_OR_ONE: Self = text("ERR value is out of range, value must between 0 and 1");
    /// WAIT.
    pub const WAIT_AT_REPLICA: Self = text("ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is configured to be writable (which is not the default) writes to replicas are just local and are not propagated.");
    /// WAITAOF.
    pub const WAITAOF_AT_REPLICA: Self = text("ERR WAITAOF cannot be used with replica instances. Please also note that writes to replicas are just local and are not propagated.");
    /// WAITAOF.
    pub const NO_LOG_TO_WAIT_FOR: Self = text("ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.");
    /// SPOP, LPOP and others that take a count.
    pub const NOT_POSITIVE: Self = text("ERR value is out of range, must be positive");
    /// SRANDMEMBER, HRANDFIELD, LPOS.
    pub const PAST_64_BITS: Self = text("ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807");
    /// SRANDMEMBER, HRANDFIELD, ZRANDMEMBER; Lacewing's own.
    pub const TOO_MANY_DRAWS: Self = text("ERR value is out of range: no more than 100000000 elements are drawn at once");
    /// SINTERCARD, LMPOP and others that count their keys.
    pub const NUMKEYS: Self = text("ERR numkeys should be greater than 0");
    /// SINTERCARD and others that count their keys.
    pub const NUMKEYS_PAST_ARGS: Self = text("ERR Number of keys can't be greater than number of args");
    /// SINTERCARD and ZINTERCARD.
    pub const LIMIT_NEGATIVE: Self = text("ERR LIMIT can't be negative");
    /// BITFIELD.
    pub const FIELD_TYPE: Self = text("ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.");
    /// BITFIELD.
    pub const FIELD_OVERFLOW: Self = text("ERR Invalid OVERFLOW type specified");
    /// BITFIELD_RO.
    pub const FIELD_READ_ONLY: Self = text("ERR BITFIELD_RO only supports the GET subcommand");
    /// PFADD and its kin.
    pub const NOT_HLL: Self = text("WRONGTYPE Key is not a valid HyperLogLog string value.");
    /// PFADD and its kin.
    pub const CORRUPT_HLL: Self = text("INVALIDOBJ Corrupted HLL object detected");
    /// PFDEBUG.
    pub const PFDEBUG_NO_KEY: Self = text("ERR The specified key does not exist");
    /// PFDEBUG.
    pub const HLL_NOT_SPARSE: Self = text("ERR HLL encoding is not sparse");
    /// LCS.
    pub const LCS_NOT_STRINGS: Self = text("ERR The specified keys must contain string values");
    /// LCS.
    pub const LCS_LEN_AND_IDX: Self = text("ERR If you want both the length and indexes, please just use IDX.");
    /// LCS.
    pub const LCS_TOO_LONG: Self = text("ERR String too long for LCS");
    /// LCS.
    pub const LCS_TABLE_TOO_LARGE: Self = text("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
}

/// Texts of scripts and functions.
#[rustfmt::skip]
impl CommandError {
    /// EVALSHA.
    pub const NO_SCRIPT: Self = text("NOSCRIPT No matching script. Please use EVAL.");
    /// FCALL.
    pub const NO_FUNCTION: Self = text("ERR Function not found");
    /// FCALL.
    pub const FCALL_KEYS: Self = text("ERR Bad number of keys provided");
    /// EVAL, FCALL.
    pub const NUMKEYS_NEGATIVE: Self = text("ERR Number of keys can't be negative");
    /// EVAL_RO, FCALL_RO.
    pub const WRITING_SCRIPT_READ_ONLY: Self = text("ERR Can not execute a script with write flag using *_ro command.");
    /// What adds to memory that is full.
    pub const OUT_OF_MEMORY: Self = text(OUT_OF_MEMORY);
    /// EVAL, FCALL.
    pub const SCRIPT_OOM: Self = text("OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'");
    /// EVAL, FCALL; Lacewing's own.
    pub const NO_INTERPRETER: Self = text("ERR there is no memory for a script");
    /// SCRIPT KILL, FUNCTION KILL.
    pub const NOT_BUSY: Self = text("NOTBUSY No scripts in execution right now.");
    /// SCRIPT KILL, FUNCTION KILL.
    pub const UNKILLABLE: Self = text("UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.");
    /// While a script of EVAL is busy.
    pub const BUSY_SCRIPT: Self = text("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.");
    /// While a function is busy.
    pub const BUSY_FUNCTION: Self = text("BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.");
}

/// Texts of the list commands.
#[rustfmt::skip]
impl CommandError {
    /// LSET.
    pub const INDEX_RANGE: Self = text("ERR index out of range");
    /// LMPOP.
    pub const COUNT_ZERO: Self = text("ERR count should be greater than 0");
    /// LPOS.
    pub const RANK_ZERO: Self = text("ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list");
    /// LPOS.
    pub const COUNT_NEGATIVE: Self = text("ERR COUNT can't be negative");
    /// SORT.
    pub const SORT_NUMBERS: Self = text("ERR One or more scores can't be converted into double");
    /// LPOS.
    pub const MAXLEN_NEGATIVE: Self = text("ERR MAXLEN can't be negative");
}

/// Texts of the hash commands.
#[rustfmt::skip]
impl CommandError {
    /// HINCRBY.
    pub const HASH_NOT_INTEGER: Self = text("ERR hash value is not an integer");
    /// HINCRBYFLOAT.
    pub const HASH_NOT_FLOAT: Self = text("ERR hash value is not a float");
    /// HINCRBYFLOAT.
    pub const NAN_OR_INFINITY: Self = text("ERR value is NaN or Infinity");
    /// HRANDFIELD.
    pub const OUT_OF_RANGE: Self = text("ERR value is out of range");
    /// HEXPIRE and other commands on fields.
    pub const FIELDS_MISSING: Self = text("ERR Mandatory argument FIELDS is missing or not at the right position");
    /// HTTL and other commands on fields.
    pub const FIELDS_NOT_POSITIVE: Self = text("ERR Number of fields must be a positive integer");
    /// HEXPIRE and its kin.
    pub const FIELDS_NOT_ABOVE_0: Self = text("ERR Parameter `numFields` should be greater than 0");
    /// HEXPIRE and other commands on fields.
    pub const FIELDS_COUNT: Self = text("ERR The `numfields` parameter must match the number of arguments");
    /// HEXPIRE and other commands on fields.
    pub const NEGATIVE_EXPIRE: Self = text("ERR invalid expire time, must be >= 0");
    /// HSETEX.
    pub const HSETEX_EXPIRATIONS: Self = text("ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified");
    /// HSETEX.
    pub const HSETEX_CONDITIONS: Self = text("ERR Only one of FXX or FNX arguments can be specified");
    /// HSETEX.
    pub const HSETEX_NO_TIME: Self = text("ERR missing expire time");
    /// HSETEX.
    pub const HSETEX_COUNT: Self = text("ERR invalid number of fields");

    /// HSETEX.
    pub(crate) fn unknown_argument(word: &[u8]) -> Self {
        joined(&[b"ERR unknown argument: ", printed(word)])
    }
}

/// Texts of the sorted-set commands.
#[rustfmt::skip]
impl CommandError {
    /// ZADD.
    pub const NX_AND_XX: Self = text("ERR XX and NX options at the same time are not compatible");
    /// ZADD.
    pub const GT_LT_AND_NX: Self = text("ERR GT, LT, and/or NX options at the same time are not compatible");
    /// ZADD.
    pub const INCR_OF_ONE: Self = text("ERR INCR option supports a single increment-element pair");
    /// ZADD, ZINCRBY.
    pub const NAN_SCORE: Self = text("ERR resulting score is not a number (NaN)");
    /// ZRANGEBYSCORE and its kin.
    pub const SCORE_RANGE: Self = text("ERR min or max is not a float");
    /// ZRANGEBYLEX and its kin.
    pub const LEX_RANGE: Self = text("ERR min or max not valid string range item");
    /// ZRANGE.
    pub const LIMIT_OF_RANKS: Self = text("ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX");
    /// ZRANGE.
    pub const SCORES_OF_LEX: Self = text("ERR syntax error, WITHSCORES not supported in combination with BYLEX");
    /// ZUNION and its kin.
    pub const WEIGHT: Self = text("ERR weight value is not a float");

    /// ZUNION and its kin.
    pub(crate) fn no_input_keys(command: &str) -> Self {
        format!("ERR at least 1 input key is needed for '{command}' command").into()
    }
}

/// Texts of the geospatial commands.
#[rustfmt::skip]
impl CommandError {
    /// GEODIST and others.
    pub const GEO_UNIT: Self = text("ERR unsupported unit provided. please use M, KM, FT, MI");
    /// GEORADIUS, GEOSEARCH.
    pub const GEO_RADIUS: Self = text("ERR need numeric radius");
    /// GEORADIUS, GEOSEARCH.
    pub const GEO_RADIUS_NEGATIVE: Self = text("ERR radius cannot be negative");
    /// GEOSEARCH.
    pub const GEO_WIDTH: Self = text("ERR need numeric width");
    /// GEOSEARCH.
    pub const GEO_HEIGHT: Self = text("ERR need numeric height");
    /// GEOSEARCH.
    pub const GEO_SIDES_NEGATIVE: Self = text("ERR height or width cannot be negative");
    /// GEORADIUSBYMEMBER, GEOSEARCH.
    pub const GEO_MEMBER: Self = text("ERR could not decode requested zset member");
    /// GEORADIUS, GEOSEARCH.
    pub const COUNT_BELOW_1: Self = text("ERR COUNT must be > 0");
    /// GEORADIUS, GEOSEARCH.
    pub const GEO_ANY: Self = text("ERR the ANY argument requires COUNT argument");

    /// GEOADD and others.
    pub(crate) fn no_place(longitude: f64, latitude: f64) -> Self {
        format!("ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}").into()
    }

    /// GEORADIUS, GEOSEARCHSTORE.
    pub(crate) fn geo_store_details(what: &str) -> Self {
        format!("ERR {what} is not compatible with WITHDIST, WITHHASH and WITHCOORD options").into()
    }

    /// GEOSEARCH, GEOSEARCHSTORE.
    pub(crate) fn geo_from(command: &[u8]) -> Self {
        let command = String::from_utf8_lossy(command);
        format!("ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for {command}").into()
    }

    /// GEOSEARCH, GEOSEARCHSTORE.
    pub(crate) fn geo_by(command: &[u8]) -> Self {
        let command = String::from_utf8_lossy(command);
        format!("ERR exactly one of BYRADIUS and BYBOX can be specified for {command}").into()
    }
}

/// Texts of the transaction commands.
#[rustfmt::skip]
impl CommandError {
    /// MULTI.
    pub const MULTI_NESTED: Self = text("ERR MULTI calls can not be nested");
    /// DISCARD.
    pub const DISCARD_WITHOUT_MULTI: Self = text("ERR DISCARD without MULTI");
    /// EXEC.
    pub const EXEC_WITHOUT_MULTI: Self = text("ERR EXEC without MULTI");
    /// EXEC.
    pub const EXEC_ABORTED: Self = text("EXECABORT Transaction discarded because of previous errors.");
    /// WATCH.
    pub const WATCH_IN_MULTI: Self = text("ERR WATCH inside MULTI is not allowed");
    /// Commands with the flag `no_multi`.
    pub const NOT_IN_MULTI: Self = text("ERR Command not allowed inside a transaction");

    /// EXEC, which was refused with the error `text`.
    pub fn exec_refused(text: &[u8]) -> Self {
        joined(&[b"EXECABORT Transaction discarded because of: ", text.strip_prefix(b"ERR ").unwrap_or(text)])
    }
}

/// Texts of the connection and server commands.
#[rustfmt::skip]
impl CommandError {
    /// AUTH, HELLO.
    pub const WRONG_PASSWORD: Self = text("WRONGPASS invalid username-password pair or user is disabled.");
    /// AUTH.
    pub const NO_PASSWORD_SET: Self = text("ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?");
    /// HELLO.
    pub const HELLO_NEEDS_AUTH: Self = text("NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time");
    /// HELLO.
    pub const UNKNOWN_PROTOCOL: Self = text("NOPROTO unsupported protocol version");
    /// HELLO.
    pub const PROTOCOL_NOT_INTEGER: Self = text("ERR Protocol version is not an integer or out of range");
    /// CLIENT SETNAME, HELLO SETNAME.
    pub const CLIENT_NAME: Self = text("ERR Client names cannot contain spaces, newlines or special characters.");
    /// CLIENT LIST.
    pub const CLIENT_ID: Self = text("ERR Invalid client ID");
    /// CLIENT KILL.
    pub const CLIENT_ID_NOT_POSITIVE: Self = text("ERR client-id should be greater than 0");
    /// CLIENT KILL.
    pub const NO_SUCH_CLIENT: Self = text("ERR No such client");
    /// CLIENT PAUSE.
    pub const PAUSE_MODE: Self = text("ERR CLIENT PAUSE mode must be WRITE or ALL");
    /// CLIENT UNBLOCK.
    pub const UNBLOCK_REASON: Self = text("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
    /// MONITOR.
    pub const MONITOR_DENIED: Self = text("ERR MONITOR isn't allowed for DENY BLOCKING client");
    /// SSUBSCRIBE.
    pub const SSUBSCRIBE_DENIED: Self = text("ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client");
    /// CLIENT TRACKING.
    pub const NO_SUCH_REDIRECT: Self = text("ERR The client ID you want redirect to does not exist");
    /// CLIENT TRACKING.
    pub const SECOND_REDIRECT: Self = text("ERR A client can only redirect to a single other client");
    /// CLIENT TRACKING.
    pub const PREFIX_WITHOUT_BCAST: Self = text("ERR PREFIX option requires BCAST mode to be enabled");
    /// CLIENT TRACKING.
    pub const BCAST_SWITCHED: Self = text("ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode.");
    /// CLIENT TRACKING.
    pub const OPT_WITH_BCAST: Self = text("ERR OPTIN and OPTOUT are not compatible with BCAST");
    /// CLIENT TRACKING.
    pub const OPTIN_AND_OPTOUT: Self = text("ERR You can't specify both OPTIN mode and OPTOUT mode");
    /// CLIENT TRACKING.
    pub const OPT_SWITCHED: Self = text("ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode.");
    /// CLIENT CACHING.
    pub const CACHING_WITHOUT_OPTIN: Self = text("ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.");
    /// CLIENT CACHING.
    pub const CACHING_WITHOUT_OPTOUT: Self = text("ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.");
    /// CLIENT CACHING.
    pub const TRACKING_OFF: Self = text("ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled");
    /// CLIENT PAUSE, WAIT.
    pub const TIMEOUT_NOT_INTEGER: Self = text("ERR timeout is not an integer or out of range");
    /// BLPOP and others.
    pub const TIMEOUT_NOT_FLOAT: Self = text("ERR timeout is not a float or out of range");
    /// BLPOP and others.
    pub const TIMEOUT_RANGE: Self = text("ERR timeout is out of range");
    /// CLIENT UNBLOCK: what the client is told that was woken with `ERROR`.
    pub const UNBLOCKED: Self = text("UNBLOCKED client unblocked via CLIENT UNBLOCK");
    /// CLIENT PAUSE, WAIT.
    pub const TIMEOUT_NEGATIVE: Self = text("ERR timeout is negative");
    /// COMMAND GETKEYS.
    pub const GETKEYS_COMMAND: Self = text("ERR Invalid command specified");
    /// COMMAND GETKEYS.
    pub const GETKEYS_ARITY: Self = text("ERR Invalid number of arguments specified for command");
    /// COMMAND GETKEYS.
    pub const GETKEYS_NONE: Self = text("ERR The command has no key arguments");
    /// COMMAND GETKEYS.
    pub const GETKEYS_ARGUMENTS: Self = text("ERR Invalid arguments specified for command");
    /// CONFIG REWRITE.
    pub const NO_CONFIG_FILE: Self = text("ERR The server is running without a config file");
    /// CLUSTER and what belongs to it.
    pub const CLUSTER_OFF: Self = text("ERR This instance has cluster support disabled");
    /// DEBUG.
    pub const DEBUG_NOT_ALLOWED: Self = text("ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server.");
    /// DEBUG PROTOCOL.
    pub const PROTOCOL_TYPE: Self = text("ERR Wrong protocol type name. Please use one of the following: string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false");
    /// DEBUG PROTOCOL.
    pub const NOT_IN_RESP2: Self = text("ERR RESP2 is not supported by this command");
    /// DEBUG RELOAD.
    pub const RELOAD_OPTIONS: Self = text("ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.");
    /// DEBUG RELOAD.
    pub const RELOAD_FAILED: Self = text("ERR Error trying to load the RDB dump, check server logs for more information");
    /// SHUTDOWN ABORT.
    pub const NO_SHUTDOWN: Self = text("ERR No shutdown in progress.");
    /// SHUTDOWN that was taken back, or failed.
    pub const SHUTDOWN_FAILED: Self = text("ERR Errors trying to SHUTDOWN. Check logs.");
    /// SLOWLOG GET.
    pub const SLOWLOG_COUNT: Self = text("ERR count should be greater than or equal to -1");
    /// SAVE, BGSAVE.
    pub const SAVE_UNDER_WAY: Self = text("ERR Background save already in progress");
    /// BGSAVE.
    pub const REWRITE_UNDER_WAY: Self = text("ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to schedule a BGSAVE whenever possible.");
    /// BGREWRITEAOF.
    pub const REWRITE_ALREADY: Self = text("ERR Background append only file rewriting already in progress");
    /// BGSAVE CANCEL, as Valkey has it.
    pub const NO_SAVE: Self = text("ERR Background saving is currently not in progress or scheduled");
    /// DEBUG RELOAD NOSAVE; Lacewing's own.
    pub const RELOAD_NOSAVE: Self = text("ERR DEBUG RELOAD NOSAVE is not supported: what was saved is loaded by a start alone");

    /// REPLICAOF.
    pub const MASTER_PORT: Self = text("ERR Invalid master port");
    /// REPLICAOF; Lacewing's own.
    pub const MASTER_HOST: Self = text("ERR Invalid master host");
    /// Clients that wait for a key when their server becomes a replica.
    pub const ROLE_CHANGED: Self = text("UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)");
    /// SYNC and its kin; Lacewing's own.
    pub const NO_MASTER_LINK: Self = text("NOMASTERLINK Can't SYNC while not connected with my master");
    /// FAILOVER.
    pub const NO_REPLICAS: Self = text("ERR FAILOVER requires connected replicas.");
    /// FAILOVER ABORT.
    pub const NO_FAILOVER: Self = text("ERR No failover in progress.");
    /// FAILOVER TIMEOUT.
    pub const FAILOVER_TIMEOUT: Self = text("ERR FAILOVER timeout must be greater than 0");
    /// FAILOVER twice.
    pub const FAILOVER_UNDER_WAY: Self = text("ERR FAILOVER already in progress.");
    /// FAILOVER of a replica.
    pub const FAILOVER_OF_REPLICA: Self = text("ERR FAILOVER is not valid when server is a replica.");
    /// FAILOVER FORCE.
    pub const FAILOVER_FORCE: Self = text("ERR FAILOVER with force option requires both a timeout and target HOST and IP.");
    /// FAILOVER TO.
    pub const FAILOVER_TARGET: Self = text("ERR FAILOVER target HOST and PORT is not a replica.");
    /// FAILOVER TO a replica that does not read the stream yet.
    pub const FAILOVER_OFFLINE: Self = text("ERR FAILOVER target replica is not online.");
    /// REPLICAOF meanwhile.
    pub const FAILING_OVER: Self = text("ERR REPLICAOF not allowed while failing over.");
    /// PSYNC meanwhile.
    pub const SYNC_FAILING_OVER: Self = text("NOMASTERLINK Can't SYNC while failing over");
    /// PSYNC by whom this server follows; Lacewing's own.
    pub const SYNC_BY_MASTER: Self = text("NOMASTERLINK Can't SYNC with the master of this server: one of them must be told REPLICAOF NO ONE");
    /// PSYNC FAILOVER to a master.
    pub const PROMOTION_OF_MASTER: Self = text("ERR PSYNC FAILOVER can't be sent to a master.");
    /// PSYNC FAILOVER by another than its master.
    pub const PROMOTION_BY_STRANGER: Self = text("ERR PSYNC FAILOVER replid must match my replid.");

    /// HELLO.
    pub(crate) fn hello_option(word: &[u8]) -> Self {
        quoting("ERR Syntax error in HELLO option", word)
    }

    /// CLIENT LIST, CLIENT KILL.
    pub(crate) fn client_type(word: &[u8]) -> Self {
        quoting("ERR Unknown client type", word)
    }

    /// CLIENT KILL.
    pub(crate) fn no_such_user(word: &[u8]) -> Self {
        quoting("ERR No such user", word)
    }

    /// CLIENT SETINFO.
    pub(crate) fn set_info_option(word: &[u8]) -> Self {
        quoting("ERR Unrecognized option", word)
    }

    /// CLIENT SETINFO: `attribute` has characters that CLIENT LIST cannot print.
    pub(crate) fn set_info_value(attribute: &str) -> Self {
        format!("ERR {attribute} cannot contain spaces, newlines or special characters.").into()
    }

    /// LATENCY GRAPH.
    pub(crate) fn no_samples(event: &[u8]) -> Self {
        quoting("ERR No samples available for event", event)
    }

    /// PFDEBUG.
    pub(crate) fn pfdebug_subcommand(word: &[u8]) -> Self {
        quoting("ERR Unknown PFDEBUG subcommand", word)
    }

    /// ACL CAT.
    pub(crate) fn acl_category(word: &[u8]) -> Self {
        quoting("ERR Unknown category", word)
    }

    /// CLIENT TRACKING.
    pub(crate) fn prefix_overlap(prefix: &[u8], which: &str, other: &[u8]) -> Self {
        let [prefix, other] = [prefix, other].map(String::from_utf8_lossy);
        format!(
            "ERR Prefix '{prefix}' overlaps with {which} prefix '{other}'. Prefixes for a single client must not overlap."
        )
        .into()
    }

    /// Containers whose handlers look at their arguments themselves.
    pub(crate) fn subcommand(container: &str, word: &[u8]) -> Self {
        let (said, rest) = (b"ERR unknown subcommand or wrong number of arguments for '", b"'. Try ");
        joined(&[said, printed(word), rest, container.as_bytes(), b" HELP."])
    }
}

/// Texts of the stream commands.
#[rustfmt::skip]
impl CommandError {
    /// Whatever takes an id.
    pub const STREAM_ID: Self = text("ERR Invalid stream ID specified as stream command argument");
    /// XRANGE and others: nothing comes after the excluded id.
    pub const STREAM_START: Self = text("ERR invalid start ID for the interval");
    /// XRANGE and others: nothing comes before the excluded id.
    pub const STREAM_END: Self = text("ERR invalid end ID for the interval");
    /// XADD.
    pub const STREAM_ID_ZERO: Self = text("ERR The ID specified in XADD must be greater than 0-0");
    /// XADD.
    pub const STREAM_ID_SMALL: Self = text("ERR The ID specified in XADD is equal or smaller than the target stream top item");
    /// XADD.
    pub const STREAM_EXHAUSTED: Self = text("ERR The stream has exhausted the last possible ID, unable to add more items");
    /// XADD.
    pub const STREAM_ENTRY_SIZE: Self = text("ERR Elements are too large to be stored");
    /// XADD, XTRIM.
    pub const TRIM_TWICE: Self = text("ERR syntax error, MAXLEN and MINID options at the same time are not compatible");
    /// XADD, XTRIM.
    pub const TRIM_MAXLEN: Self = text("ERR The MAXLEN argument must be >= 0.");
    /// XADD, XTRIM.
    pub const TRIM_LIMIT: Self = text("ERR The LIMIT argument must be >= 0.");
    /// XADD, XTRIM.
    pub const TRIM_LIMIT_ALONE: Self = text("ERR syntax error, LIMIT cannot be used without specifying a trimming strategy");
    /// XADD, XTRIM.
    pub const TRIM_LIMIT_EXACT: Self = text("ERR syntax error, LIMIT cannot be used without the special ~ option");
    /// XTRIM.
    pub const TRIM_TO_NOTHING: Self = text("ERR syntax error, XTRIM must be called with a trimming strategy");
    /// XSETID.
    pub const SETID_ADDED: Self = text("ERR entries_added must be positive");
    /// XSETID.
    pub const SETID_BELOW_GIVEN: Self = text("ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id");
    /// XSETID.
    pub const SETID_BELOW_DELETED: Self = text("ERR The ID specified in XSETID is smaller than current max_deleted_entry_id");
    /// XSETID.
    pub const SETID_BELOW_LAST: Self = text("ERR The ID specified in XSETID is smaller than the target stream top item");
    /// XSETID.
    pub const SETID_ADDED_SMALL: Self = text("ERR The entries_added specified in XSETID is smaller than the target stream length");
    /// XGROUP.
    pub const GROUP_WITHOUT_KEY: Self = text("ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.");
    /// XGROUP CREATE.
    pub const GROUP_BUSY: Self = text("BUSYGROUP Consumer Group name already exists");
    /// XGROUP CREATE, XGROUP SETID.
    pub const GROUP_ENTRIES_READ: Self = text("ERR value for ENTRIESREAD must be positive or -1");
    /// XREAD.
    pub const READ_GROUP: Self = text("ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.");
    /// XREAD.
    pub const READ_NOACK: Self = text("ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.");
    /// XREAD.
    pub const READ_NEW: Self = text("ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.");
    /// XREADGROUP.
    pub const READ_GROUP_MISSING: Self = text("ERR Missing GROUP option for XREADGROUP");
    /// XREADGROUP.
    pub const READ_LAST: Self = text("ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set.");

    /// XREAD, XREADGROUP.
    pub(crate) fn unbalanced_streams(command: &str, symbol: char) -> Self {
        format!("ERR Unbalanced '{command}' list of streams: for each stream key an ID or '{symbol}' must be specified.").into()
    }

    /// XPENDING, XCLAIM, XAUTOCLAIM, and with more to say XREADGROUP.
    pub(crate) fn no_key_or_group(key: &[u8], group: &[u8], more: &str) -> Self {
        let (key, group) = (printed(key), printed(group));
        joined(&[b"NOGROUP No such key '", key, b"' or consumer group '", group, b"'", more.as_bytes()])
    }

    /// XGROUP, XINFO CONSUMERS.
    pub(crate) fn no_group(group: &[u8], key: &[u8]) -> Self {
        let (key, group) = (printed(key), printed(group));
        joined(&[b"NOGROUP No such consumer group '", group, b"' for key name '", key, b"'"])
    }

    /// XCLAIM, XAUTOCLAIM: an argument that is no integer.
    pub(crate) fn claim_argument(what: &str, command: &str) -> Self {
        format!("ERR Invalid {what} argument for {command}").into()
    }

    /// XCLAIM.
    pub(crate) fn claim_option(word: &[u8]) -> Self {
        quoting("ERR Unrecognized XCLAIM option", word)
    }
}

/// `text 'word'`
fn quoting(text: &str, word: &[u8]) -> CommandError {
    joined(&[text.as_bytes(), b" '", printed(word), b"'"])
}

/// The bytes one behind the other.
fn joined(parts: &[&[u8]]) -> CommandError {
    parts.concat().into()
}

/// What an error repeats of a client's argument: Redis prints it as C does, up to its first NUL byte.
pub(crate) fn printed(word: &[u8]) -> &[u8] {
    let end = word.iter().position(|&byte| byte == 0).unwrap_or(word.len());
    &word[..end]
}

const fn text(text: &'static str) -> CommandError {
    CommandError::Text(Cow::Borrowed(text.as_bytes()))
}

impl CommandError {
    /// The error line, without the leading `-`. Line ends in it are for [`resp::Reply::error`] to take out.
    pub fn text(&self) -> Cow<'static, [u8]> {
        let text = match self {
            Self::WrongType => "WRONGTYPE Operation against a key holding the wrong kind of value",
            Self::NotInteger => "ERR value is not an integer or out of range",
            Self::NotFloat => "ERR value is not a valid float",
            Self::Syntax => "ERR syntax error",
            Self::Arity(name) => {
                return Cow::Owned(
                    format!("ERR wrong number of arguments for '{name}' command").into_bytes(),
                );
            }
            Self::InvalidExpire(name) => {
                return Cow::Owned(format!("ERR invalid expire time in '{name}' command").into_bytes());
            }
            Self::DbIndex => "ERR DB index is out of range",
            Self::NoSuchKey => "ERR no such key",
            Self::StringTooLong => "ERR string exceeds maximum allowed size (proto-max-bulk-len)",
            Self::Text(text) => return text.clone(),
        };
        Cow::Borrowed(text.as_bytes())
    }
}

impl std::fmt::Display for CommandError {
    /// [`CommandError::text`], for people.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.text()))
    }
}

impl From<&'static str> for CommandError {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text.as_bytes()))
    }
}

impl From<String> for CommandError {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<Vec<u8>> for CommandError {
    fn from(text: Vec<u8>) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::World;
    use stdx::args::OwnedArgs;

    /// The error for `args`, without the leading `-`.
    #[track_caller]
    fn check(args: &[&[u8]], expected: &[u8]) {
        let mut world = World::new(1);
        world.run("SET k v");
        let reply = world.run_args(&OwnedArgs::new(args));
        let expected = [b"-", expected, b"\r\n"].concat();
        assert_eq!(reply.escape_ascii().to_string(), expected.escape_ascii().to_string());
    }

    #[test]
    fn words_are_repeated_byte_for_byte() {
        check(&[b"OBJECT", b"\xff"], b"ERR unknown subcommand '\xff'. Try OBJECT HELP.");
        check(&[b"EXPIRE", b"k", b"1", b"\xff"], b"ERR Unsupported option \xff");
        check(
            &[b"CONFIG", b"SET", b"\xff", b"1"],
            b"ERR Unknown option or number of arguments for CONFIG SET - '\xff'",
        );
        check(&[b"CLIENT", b"LIST", b"TYPE", b"\xff"], b"ERR Unknown client type '\xff'");
        check(&[b"CLIENT", b"KILL", b"TYPE", b"\xff"], b"ERR Unknown client type '\xff'");
        check(&[b"CLIENT", b"KILL", b"USER", b"\xff"], b"ERR No such user '\xff'");
        check(&[b"ACL", b"CAT", b"\xff"], b"ERR Unknown category '\xff'");
        check(&[b"foo", b"\xff"], b"ERR unknown command 'foo', with args beginning with: '\xff' ");
        check(&[b"\xff\xfe"], b"ERR unknown command '\xff\xfe', with args beginning with: ");
        let none = b"NOGROUP No such key '\xfe' or consumer group '\xff'";
        check(&[b"XPENDING", b"\xfe", b"\xff"], none);
    }

    #[test]
    fn a_line_end_is_a_space_and_nul_the_end() {
        check(&[b"OBJECT", b"a\r\nb"], b"ERR unknown subcommand 'a  b'. Try OBJECT HELP.");
        check(&[b"EXPIRE", b"k", b"1", b"a\0b"], b"ERR Unsupported option a");
        check(&[b"ACL", b"CAT", b"a\0b"], b"ERR Unknown category 'a'");
    }
}

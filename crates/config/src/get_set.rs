//! CONFIG GET and CONFIG SET.

use crate::{Change, Config, Param, SetError, table};

/// Where a CONFIG SET comes from, for `enable-protected-configs local`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This machine: loopback or a unix socket.
    Local,
    /// Anywhere else.
    Remote,
}

/// Whether a parameter's value must be left out of SLOWLOG, MONITOR and logs.
pub fn is_sensitive(name: &[u8]) -> bool {
    std::str::from_utf8(name).ok().and_then(table::find).is_some_and(|param| param.secret)
}

impl Config {
    /// Names and values for CONFIG GET. A pattern with `*`, `?` or `[` gives every name that it matches, in any case, in
    /// the table's order, unless its parameter is hidden; another gives that one name as it was spelled. No name comes
    /// twice.
    pub fn get<P: AsRef<[u8]>>(&self, patterns: &[P]) -> Vec<(String, String)> {
        let mut found: Vec<(String, String)> = Vec::new();
        let mut add = |name: &str, param: &Param| {
            if !found.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
                found.push((name.into(), param.get(self)));
            }
        };
        for pattern in patterns {
            let pattern = pattern.as_ref();
            if !pattern.iter().any(|byte| b"*?[".contains(byte)) {
                let name = std::str::from_utf8(pattern).unwrap_or_default();
                if let Some(param) = table::find(name) {
                    add(name, param);
                }
                continue;
            }
            for param in table::params().filter(|param| !param.hidden) {
                for name in param.names().filter(|name| stdx::glob::matches(pattern, name.as_bytes(), true)) {
                    add(name, param);
                }
            }
        }
        found
    }

    /// CONFIG SET: sets all of `pairs` (name, value) or, on error, none. Returns the names whose value changed, each as
    /// the table has it; the caller applies them. Set a copy first where applying can fail, and keep the old one.
    pub fn set<N, V>(&mut self, pairs: &[(N, V)], origin: Origin) -> Result<Vec<&'static str>, SetError>
    where
        N: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        let params = self.settable(pairs, origin)?;
        let mut next = self.clone();
        next.save.seal();
        for (param, (name, value)) in params.iter().zip(pairs) {
            let outcome = match std::str::from_utf8(value.as_ref()) {
                Ok(text) => param.set(&mut next, &[text]),
                Err(_) => Err("argument must be valid UTF-8".into()),
            };
            outcome.map_err(|reason| failed(name, reason))?;
            if param.change == Change::Restart && param.get(self) != param.get(&next) {
                return Err(failed(name, IMMUTABLE));
            }
        }
        let mut changed: Vec<&'static str> = Vec::new();
        for param in params {
            if param.get(self) != param.get(&next) && !changed.contains(&param.name) {
                changed.push(param.name);
            }
        }
        *self = next;
        Ok(changed)
    }

    /// The parameters of `pairs`, all known, all changeable, none named twice. An unknown name wins over other faults
    /// that come after it, as in Redis.
    fn settable<N: AsRef<[u8]>, V>(
        &self,
        pairs: &[(N, V)],
        origin: Origin,
    ) -> Result<Vec<&'static Param>, SetError> {
        let mut params = Vec::with_capacity(pairs.len());
        for (index, (name, _)) in pairs.iter().enumerate() {
            let found = std::str::from_utf8(name.as_ref()).ok().and_then(table::find);
            let param = found.ok_or_else(|| SetError::Unknown(name.as_ref().into()))?;
            let protected = !self.enable_protected_configs.allows(origin == Origin::Local);
            match param.change {
                Change::Start => return Err(failed(name, IMMUTABLE)),
                Change::Protected if protected => return Err(failed(name, "can't set protected config")),
                Change::Protected | Change::Runtime | Change::Restart => {}
            }
            if pairs[..index].iter().any(|(other, _)| other.as_ref().eq_ignore_ascii_case(name.as_ref())) {
                return Err(failed(name, "duplicate parameter"));
            }
            params.push(param);
        }
        Ok(params)
    }
}

fn failed<N: AsRef<[u8]>>(name: &N, reason: impl Into<String>) -> SetError {
    SetError::Failed { name: name.as_ref().into(), reason: reason.into() }
}

const IMMUTABLE: &str = "can't set immutable config";

#[cfg(test)]
mod tests {
    use super::*;

    fn get(config: &Config, patterns: &[&str]) -> String {
        let found = config.get(patterns);
        found.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn names_are_found_by_pattern_in_any_case() {
        let config = Config::default();
        let check = |patterns: &[&str], expected: &str| assert_eq!(get(&config, patterns), expected);
        check(&["maxmemory"], "maxmemory=0");
        check(&["MAXMEMORY"], "MAXMEMORY=0");
        check(&["MaxMemory", "maxmemory"], "MaxMemory=0");
        check(&["nosuch"], "");
        check(&["lua-time-limit", "busy-reply-threshold"], "lua-time-limit=5000 busy-reply-threshold=5000");
        check(&["HZ", "h[z]"], "HZ=10");
        check(&["lazyfree-lazy-user-*"], "lazyfree-lazy-user-del=no lazyfree-lazy-user-flush=no");
        check(&["hash-max-*-value"], "hash-max-listpack-value=64 hash-max-ziplist-value=64");
        check(&["save"], "save=3600 1 300 100 60 10000");
        check(&["slaveof"], "slaveof=");
        check(&["UNIXSOCKETPERM"], "UNIXSOCKETPERM=0");
        check(&["key-load-delay", "key-load-d*"], "key-load-delay=0");
        check(&["key-load-d*"], "");
    }

    #[test]
    fn a_star_gives_every_name_once() {
        let found = Config::default().get(&["*", "max*"]);
        assert_eq!(found.len(), table::params().filter(|param| !param.hidden).flat_map(Param::names).count());
    }

    #[test]
    fn every_kind_is_printed_as_redis_prints_it() {
        let check = |name: &str, expected: &str| {
            assert_eq!(get(&Config::default(), &[name]), format!("{name}={expected}"));
        };
        check("client-query-buffer-limit", "1073741824");
        check(
            "client-output-buffer-limit",
            "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
        );
        check("latency-tracking-info-percentiles", "50 99 99.9");
        check("notify-keyspace-events", "");
        check("maxmemory-clients", "0");
        check("bind", "127.0.0.1 -::1");
        check("oom-score-adj-values", "0 200 800");
        check("proc-title-template", "{title} {listen-addr} {server-mode}");
    }

    /// Sets `pairs` on the defaults: the changed names, or the error.
    fn check(pairs: &[(&str, &str)], expected: Result<&[&str], &str>) {
        let mut config = Config::default();
        let got = config.set(pairs, Origin::Remote).map_err(|error| error.to_string());
        if got.is_err() {
            assert_eq!(config, Config::default(), "an error changes nothing");
        }
        assert_eq!(got.as_deref().map_err(String::as_str), expected, "{pairs:?}");
    }

    #[test]
    fn changed_names_are_returned() {
        check(&[("maxmemory", "1gb"), ("HZ", "10")], Ok(&["maxmemory"]));
        check(&[("lua-time-limit", "1"), ("busy-reply-threshold", "2")], Ok(&["busy-reply-threshold"]));
        check(
            &[("hash-max-ziplist-entries", "5"), ("hash-max-listpack-entries", "6")],
            Ok(&["hash-max-listpack-entries"]),
        );
        check(&[("aof-use-rdb-preamble", "yes"), ("save", "")], Ok(&["save"]));
        check(
            &[("bind-nothing", "")],
            Err("ERR Unknown option or number of arguments for CONFIG SET - 'bind-nothing'"),
        );
        check(&[("client-output-buffer-limit", "")], Ok(&[]));
        check(&[("port", "6379"), ("bind", "127.0.0.1 -::1"), ("cores", "auto")], Ok(&[]));
        check(&[("oom-score-adj-values", "-2000 0 2000")], Ok(&["oom-score-adj-values"]));
        check(&[("latency-tracking-info-percentiles", "")], Ok(&["latency-tracking-info-percentiles"]));
    }

    #[test]
    fn refusals_are_worded_as_in_redis() {
        let check = |pairs: &[(&str, &str)], name: &str, reason: &str| {
            let error = format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}");
            check(pairs, Err(&error));
        };
        check(&[("databases", "5")], "databases", "can't set immutable config");
        check(&[("Port", "5")], "Port", "can't set immutable config");
        check(&[("dbfilename", "x")], "dbfilename", "can't set protected config");
        check(&[("maxmemory", "1"), ("MaxMemory", "2")], "MaxMemory", "duplicate parameter");
        check(&[("maxmemory", "abc")], "maxmemory", "argument must be a memory value");
        check(&[("timeout", "")], "timeout", "argument couldn't be parsed into an integer");
        check(
            &[("hz", "10"), ("timeout", "-1")],
            "timeout",
            "argument must be between 0 and 2147483647 inclusive",
        );
        check(
            &[("maxmemory", "1gb"), ("maxmemory-policy", "foo")],
            "maxmemory-policy",
            "argument(s) must be one of the following: volatile-lru, volatile-lfu, volatile-random, \
             volatile-ttl, allkeys-lru, allkeys-lfu, allkeys-random, noeviction",
        );
        check(
            &[("latency-tracking-info-percentiles", "50  99.9 ")],
            "latency-tracking-info-percentiles",
            "Invalid latency-tracking-info-percentiles parameters",
        );
        let (scores, count) = ("oom-score-adj-values", "wrong number of arguments");
        check(&[(scores, "1 2")], scores, count);
        check(&[(scores, "1 2 3 4")], scores, count);
        let bounds = "Invalid oom-score-adj-values, elements must be between -2000 and 2000.";
        check(&[(scores, "a b c")], scores, bounds);
        check(&[(scores, "-3000 1 2")], scores, bounds);
        check(&[("recover-until", "0")], "recover-until", "can't set immutable config");
        check(&[("save", "60")], "save", "Invalid save parameters");
    }

    #[test]
    fn the_first_fault_in_order_is_told() {
        check(
            &[("hz", "x"), ("foo", "bar")],
            Err("ERR Unknown option or number of arguments for CONFIG SET - 'foo'"),
        );
        check(
            &[("databases", "1"), ("timeout", "x")],
            Err("ERR CONFIG SET failed (possibly related to argument 'databases') - can't set immutable \
                 config"),
        );
    }

    #[test]
    fn protected_parameters_open_to_whom_they_are_opened() {
        let set = |access: &str, origin| {
            let mut config = Config::default();
            table::find("enable-protected-configs").unwrap().set(&mut config, &[access]).unwrap();
            config.set(&[("dbfilename", "x.rdb")], origin).is_ok()
        };
        assert!(!set("no", Origin::Local));
        assert!(set("local", Origin::Local));
        assert!(!set("local", Origin::Remote));
        assert!(set("yes", Origin::Remote));
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        let mut config = Config::default();
        let error = config.set(&[(&b"requirepass"[..], &b"\xff"[..])], Origin::Remote).unwrap_err();
        assert!(error.to_string().ends_with("argument must be valid UTF-8"), "{error}");
        let error = config.set(&[(&b"\xff"[..], &b"1"[..])], Origin::Remote).unwrap_err();
        assert!(matches!(error, SetError::Unknown(_)));
    }

    #[test]
    fn passwords_are_sensitive() {
        assert!(is_sensitive(b"RequirePass"));
        assert!(is_sensitive(b"masterauth"));
        assert!(!is_sensitive(b"port"));
        assert!(!is_sensitive(b"\xff"));
    }
}

//! Reading configuration files: redis.conf syntax, `include`, and errors that show the line.

use std::io;

use crate::suggest::nearest;
use crate::{Config, ConfigError, Place, table};
use stdx::words;

/// `include` may nest so deep; a file that includes itself ends here.
pub const INCLUDE_DEPTH_MAX: usize = 16;

/// Where configuration files come from; tests give texts.
pub trait Source {
    /// All bytes of a file; `-` is standard input.
    fn read(&mut self, path: &str) -> io::Result<Vec<u8>>;
    /// The names in a directory, in any order.
    fn list(&mut self, directory: &str) -> io::Result<Vec<String>>;
}

/// Applies one file's settings to `config`, and those of the files it includes where it includes them.
pub(crate) fn apply_file(
    config: &mut Config,
    path: &str,
    source: &mut dyn Source,
) -> Result<(), ConfigError> {
    Reader { config, source }.file(path, 0)
}

/// Applies one setting: a name and its words. Errors: what is wrong, without the place.
pub(crate) fn apply(config: &mut Config, setting: &[String]) -> Result<(), String> {
    let (name, values) = setting.split_first().expect("a setting has a name");
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    match table::find(name) {
        Some(param) => param.set(config, &values),
        None => Err(match (table::why_absent(name), nearest(name)) {
            (Some(why), _) => why.into(),
            (None, Some(near)) => format!("unknown parameter; did you mean '{near}'?"),
            (None, None) => "unknown parameter".into(),
        }),
    }
}

/// The line as a message may show it: without what could be a password.
pub(crate) fn shown(line: &str) -> String {
    let name = line.split_ascii_whitespace().next().unwrap_or_default().trim_start_matches("--");
    let name = name.split_once('=').map_or(name, |(name, _)| name);
    let known = table::find(name).or_else(|| nearest(name).and_then(table::find));
    let lower = name.to_ascii_lowercase();
    let secret = match known {
        Some(param) => param.secret,
        None => ["pass", "auth", "user"].iter().any(|part| lower.contains(part)),
    };
    if secret { format!("{name} ***") } else { line.into() }
}

struct Reader<'a> {
    config: &'a mut Config,
    source: &'a mut dyn Source,
}

impl Reader<'_> {
    fn file(&mut self, path: &str, depth: usize) -> Result<(), ConfigError> {
        let unreadable = |error| ConfigError::Unreadable { path: path.into(), error };
        let text = self.source.read(path).map_err(unreadable)?;
        let path = if path == "-" { "standard input" } else { path };
        for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
            self.line(line.trim_ascii(), path, depth, index + 1)?;
        }
        Ok(())
    }

    /// Comments may be in any encoding; settings are UTF-8.
    fn line(&mut self, bytes: &[u8], path: &str, depth: usize, number: usize) -> Result<(), ConfigError> {
        if bytes.is_empty() || bytes.starts_with(b"#") {
            return Ok(());
        }
        let line = &*String::from_utf8_lossy(bytes);
        let refused = |reason: String| ConfigError::Refused {
            place: Place::File(path.into(), number),
            line: shown(line),
            reason,
        };
        if std::str::from_utf8(bytes).is_err() {
            return Err(refused("not valid UTF-8".into()));
        }
        let setting =
            words::texts(line).ok_or_else(|| refused("Unbalanced quotes in configuration line".into()))?;
        match setting.as_slice() {
            [] => Ok(()),
            [name, what] if name.eq_ignore_ascii_case("include") => {
                if depth == INCLUDE_DEPTH_MAX {
                    return Err(refused(format!("include is nested deeper than {INCLUDE_DEPTH_MAX}")));
                }
                // What is wrong inside of a file has a place already; that it cannot be read is this line's fault.
                self.include(what, depth + 1).map_err(|error| match error {
                    ConfigError::Unreadable { .. } => refused(error.to_string()),
                    inside => inside,
                })
            }
            [name, ..] if name.eq_ignore_ascii_case("include") => {
                Err(refused("wrong number of arguments".into()))
            }
            _ => apply(self.config, &setting).map_err(refused),
        }
    }

    /// Reads a file, or with a pattern in the last part of the path, every file that matches, by name.
    fn include(&mut self, path: &str, depth: usize) -> Result<(), ConfigError> {
        let (directory, pattern) = path.rsplit_once('/').unwrap_or((".", path));
        if !pattern.contains(['*', '?', '[']) {
            return self.file(path, depth);
        }
        let directory = if directory.is_empty() { "/" } else { directory };
        let unreadable = |error| ConfigError::Unreadable { path: path.into(), error };
        let mut names = self.source.list(directory).map_err(unreadable)?;
        names.retain(|name| {
            !name.starts_with('.') && stdx::glob::matches(pattern.as_bytes(), name.as_bytes(), false)
        });
        names.sort_unstable();
        for name in names {
            self.file(&format!("{}/{name}", directory.trim_end_matches('/')), depth)?;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Files by path.
    pub(crate) struct Files<'a, T: ?Sized = str>(pub(crate) &'a [(&'a str, &'a T)]);

    impl<T: AsRef<[u8]> + ?Sized> Source for Files<'_, T> {
        fn read(&mut self, path: &str) -> io::Result<Vec<u8>> {
            let found = self.0.iter().find(|(name, _)| *name == path);
            found.map(|(_, text)| text.as_ref().to_vec()).ok_or_else(|| io::ErrorKind::NotFound.into())
        }

        fn list(&mut self, directory: &str) -> io::Result<Vec<String>> {
            let inside = |path: &str| path.strip_prefix(directory)?.strip_prefix('/').map(String::from);
            Ok(self.0.iter().filter_map(|(path, _)| inside(path)).collect())
        }
    }

    fn read(files: &[(&str, &str)]) -> Result<Config, String> {
        let mut config = Config::default();
        apply_file(&mut config, "a.conf", &mut Files(files)).map_err(|error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn a_file_is_read() {
        let config = read(&[(
            "a.conf",
            "# a comment\n\n  PORT 7000\r\nsave \"\"\nrequirepass \"a b\"\nbind 10.0.0.1 -::1\n\
             client-output-buffer-limit normal 1mb 0 0\nclient-output-buffer-limit pubsub 2mb 0 0\nhz 20\nhz 30",
        )]);
        let config = config.unwrap();
        assert_eq!(config.port, 7000);
        assert_eq!(config.requirepass.reveal(), "a b");
        assert_eq!(config.bind.len(), 2);
        assert_eq!(config.hz, 30);
        let limits = config.client_output_buffer_limit.to_string();
        assert_eq!(limits, "normal 1048576 0 0 slave 268435456 67108864 60 pubsub 2097152 0 0");
    }

    #[test]
    fn a_wrong_line_is_shown_with_its_place_and_fault() {
        let check = |text: &str, expected: &str| {
            assert_eq!(read(&[("a.conf", text)]).map(|_| ()), Err(expected.into()), "{text}");
        };
        check(
            "port 1\nmaxmemroy 1gb",
            "a.conf, line 2: 'maxmemroy 1gb': unknown parameter; did you mean 'maxmemory'?",
        );
        check("foo bar", "a.conf, line 1: 'foo bar': unknown parameter");
        check("port abc", "a.conf, line 1: 'port abc': argument couldn't be parsed into an integer");
        check("hz 1\n bind ", "a.conf, line 2: 'bind': an address is missing; bind \"\" means none");
        check("port", "a.conf, line 1: 'port': wrong number of arguments");
        check("hz 10 # c", "a.conf, line 1: 'hz 10 # c': wrong number of arguments");
        check("pidfile \"abc", "a.conf, line 1: 'pidfile \"abc': Unbalanced quotes in configuration line");
        check("include", "a.conf, line 1: 'include': wrong number of arguments");
        let text = "a.conf, line 1: 'include b.conf': cannot read the configuration b.conf: entity not found";
        check("include b.conf", text);
        check(
            "notify-keyspace-events",
            "a.conf, line 1: 'notify-keyspace-events': wrong number of arguments",
        );
    }

    #[test]
    fn bytes_that_are_not_utf8_may_stand_in_comments_only() {
        let read = |text: &[u8]| {
            let mut config = Config::default();
            apply_file(&mut config, "a.conf", &mut Files(&[("a.conf", text)])).map(|()| config.hz)
        };
        assert_eq!(read(b"# gr\xfc\xdfe\n\t# \xff\nhz 20\n").unwrap(), 20);
        let error = read(b"hz 20\ndir /data/\xff\n").unwrap_err().to_string();
        assert_eq!(error, "a.conf, line 2: 'dir /data/\u{fffd}': not valid UTF-8");
        let error = read(b"requirepass \xff\n").unwrap_err().to_string();
        assert_eq!(error, "a.conf, line 1: 'requirepass ***': not valid UTF-8");
    }

    #[test]
    fn what_this_version_lacks_is_refused_and_not_ignored() {
        let check = |line: &str, reason: &str| {
            assert_eq!(
                read(&[("a.conf", line)]).map(|_| ()),
                Err(format!("a.conf, line 1: '{line}': {reason}"))
            );
        };
        check("replicaof 10.0.0.1 port", "Invalid master port");
        check("slaveof 10.0.0.1", "wrong number of arguments");
        check("cluster-enabled yes", "cluster mode is not part of this version");
        check("tls-port 6380", "TLS is not part of this version");
        check("tls-cert-file /etc/cert", "TLS is not part of this version");
        check("bio_cpulist 0,1", "use pin");
        check("daemonize yes", "the server stays in the foreground: let systemd or a container run it");
        check(
            "rename-command FLUSHALL x",
            "commands are not renamed: use requirepass, and enable-debug-command for DEBUG",
        );
    }

    #[test]
    fn a_password_is_not_shown() {
        let check = |line: &str, expected: &str| {
            let error = read(&[("a.conf", line)]).unwrap_err();
            assert!(error.starts_with(&format!("a.conf, line 1: '{expected}': ")), "{error}");
        };
        check("requirepass hunter 2", "requirepass ***");
        check("requirepass \"hunter2", "requirepass ***");
        check("requirpass hunter2", "requirpass ***");
        check("masterauth hunter 2", "masterauth ***");
        check("user default on >hunter2", "user ***");
        check("tls-key-file-pass hunter2", "tls-key-file-pass ***");
        check("port hunter", "port hunter");
    }

    #[test]
    fn included_files_take_effect_where_they_are_included() {
        let config = read(&[
            ("a.conf", "hz 1\ninclude b.conf\ntimeout 5\ninclude d/*.conf"),
            ("b.conf", "hz 2\ntimeout 2"),
            ("d/2.conf", "databases 2"),
            ("d/1.conf", "databases 1\nmaxclients 7"),
            ("d/3.txt", "nonsense"),
            ("d/.4.conf", "nonsense"),
        ]);
        let config = config.unwrap();
        assert_eq!((config.hz, config.timeout_s, config.databases, config.maxclients), (2, 5, 2, 7));
    }

    #[test]
    fn an_error_names_the_included_file() {
        let error = read(&[("a.conf", "include b.conf"), ("b.conf", "\nx y")]).unwrap_err();
        assert_eq!(error, "b.conf, line 2: 'x y': unknown parameter");
    }

    #[test]
    fn a_file_that_includes_itself_is_refused() {
        let error = read(&[("a.conf", "include a.conf")]).unwrap_err();
        assert_eq!(error, "a.conf, line 1: 'include a.conf': include is nested deeper than 16");
    }
}

//! `replicaof`: whom this server follows.

/// Where a master is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasterAddress {
    /// A name or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// Reads the words of `replicaof`. `no one`, and nothing, are nobody.
pub(crate) fn parse(words: &[&str]) -> Result<Option<MasterAddress>, String> {
    match words {
        [] | [""] => Ok(None),
        [no, one] if no.eq_ignore_ascii_case("no") && one.eq_ignore_ascii_case("one") => Ok(None),
        [host, port] if !host.is_empty() => match port.parse() {
            Ok(port) => Ok(Some(MasterAddress { host: (*host).to_owned(), port })),
            Err(_) => Err("Invalid master port".into()),
        },
        _ => Err("wrong number of arguments".into()),
    }
}

/// Writes it as `replicaof` has it.
pub(crate) fn print(master: Option<&MasterAddress>) -> String {
    master.map_or_else(String::new, MasterAddress::to_string)
}

impl std::fmt::Display for MasterAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_is_a_host_and_a_port() {
        let check = |words: &[&str], expected: Result<&str, &str>| {
            let found = parse(words).map(|master| print(master.as_ref()));
            assert_eq!(found.as_deref().map_err(String::as_str), expected, "{words:?}");
        };
        check(&[""], Ok(""));
        check(&["No", "One"], Ok(""));
        check(&["10.0.0.1", "6379"], Ok("10.0.0.1 6379"));
        check(&["::1", "1"], Ok("::1 1"));
        check(&["a", "0"], Ok("a 0"));
        check(&["a", "-1"], Err("Invalid master port"));
        check(&["a", "65536"], Err("Invalid master port"));
        check(&["a", "x"], Err("Invalid master port"));
        check(&["a"], Err("wrong number of arguments"));
        check(&["a", "1", "2"], Err("wrong number of arguments"));
    }
}

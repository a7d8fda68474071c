//! `bind`: the addresses to listen on.

/// At most so many addresses, as in Redis.
pub const BIND_MAX: usize = 16;

/// One address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindAddress {
    /// A host name or an address; `*` is every IPv4 address, `::*` every IPv6 address.
    pub host: String,
    /// Written with a leading `-`: the server starts even if this machine does not have the address.
    pub optional: bool,
}

/// Reads the words of `bind`. One empty word means no address at all; no word is taken for a mistake.
pub(crate) fn parse(words: &[&str]) -> Result<Vec<BindAddress>, String> {
    if words.is_empty() {
        return Err("an address is missing; bind \"\" means none".into());
    }
    if words.len() > BIND_MAX {
        return Err("Too many bind addresses specified.".into());
    }
    words.iter().filter(|word| !word.is_empty()).map(|word| parse_one(word)).collect()
}

/// Writes the addresses as `bind` has them.
pub(crate) fn print(addresses: &[BindAddress]) -> String {
    addresses.iter().map(BindAddress::to_string).collect::<Vec<_>>().join(" ")
}

fn parse_one(word: &str) -> Result<BindAddress, String> {
    let host = word.strip_prefix('-').unwrap_or(word);
    if host.is_empty() || host.contains(char::is_whitespace) {
        return Err(format!("'{word}' is not an address"));
    }
    Ok(BindAddress { host: host.into(), optional: host.len() < word.len() })
}

impl std::fmt::Display for BindAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", if self.optional { "-" } else { "" }, self.host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_printed() {
        let check = |words: &[&str], expected: Result<&str, &str>| {
            let got = parse(words).map(|addresses| print(&addresses));
            assert_eq!(got.as_deref().map_err(String::as_str), expected, "{words:?}");
        };
        check(&[], Err("an address is missing; bind \"\" means none"));
        check(&[""], Ok(""));
        check(&["127.0.0.1", "-::1"], Ok("127.0.0.1 -::1"));
        check(&["*", "-::*"], Ok("* -::*"));
        check(&["-"], Err("'-' is not an address"));
        check(&["a b"], Err("'a b' is not an address"));
        check(&["h"; 16], Ok(&["h"; 16].join(" ")));
        check(&["h"; 17], Err("Too many bind addresses specified."));
    }

    #[test]
    fn a_dash_makes_an_address_optional() {
        let addresses = parse(&["127.0.0.1", "-::1"]).unwrap();
        assert_eq!(addresses[0], BindAddress { host: "127.0.0.1".into(), optional: false });
        assert_eq!(addresses[1], BindAddress { host: "::1".into(), optional: true });
    }
}

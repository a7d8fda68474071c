//! One end of a connection, printed as Redis prints it.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// An address that a socket is bound or connected to. Prints as in Redis's CLIENT LIST: `127.0.0.1:6379`, `[::1]:6379`,
/// `/run/lacewing.sock:0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// TCP, by address and port.
    Tcp(SocketAddr),
    /// A unix socket, by the path of its listener; both ends have the same, and clients are seldom bound to one.
    Unix(PathBuf),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Tcp(addr) if addr.is_ipv6() => write!(f, "[{}]:{}", addr.ip(), addr.port()),
            Endpoint::Tcp(addr) => addr.fmt(f),
            Endpoint::Unix(path) => write!(f, "{}:0", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(endpoint: &Endpoint, expected: &str) {
        assert_eq!(endpoint.to_string(), expected);
    }

    #[test]
    fn endpoints_print_as_in_client_list() {
        check(&Endpoint::Tcp("127.0.0.1:1234".parse().unwrap()), "127.0.0.1:1234");
        check(&Endpoint::Tcp("[::1]:1234".parse().unwrap()), "[::1]:1234");
        check(&Endpoint::Tcp("[fe80::1%3]:1234".parse().unwrap()), "[fe80::1]:1234");
        check(&Endpoint::Unix("/run/l.sock".into()), "/run/l.sock:0");
    }
}

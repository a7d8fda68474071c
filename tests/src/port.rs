//! Free ports that no other test takes at the same time.

use std::net::{Ipv4Addr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

/// A port of 127.0.0.1, claimed among all tests on this machine until it is dropped.
///
/// Servers listen with SO_REUSEPORT: two on the same port would share the connections, and neither would say so. The
/// claim is an abstract unix socket, which goes away with its process however that ends.
pub(crate) struct Port {
    number: u16,
    _claim: UnixListener,
}

impl Port {
    /// Finds one that nobody listens on.
    pub(crate) fn free() -> Self {
        for _ in 0..ATTEMPTS {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
            let number = listener.local_addr().expect("a listener has an address").port();
            if let Some(claim) = claim(number) {
                return Self { number, _claim: claim };
            }
        }
        panic!("no port was free in {ATTEMPTS} attempts");
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }
}

fn claim(port: u16) -> Option<UnixListener> {
    let name = format!("lacewing-test-port-{port}");
    let addr = SocketAddr::from_abstract_name(name).expect("the name is short");
    UnixListener::bind_addr(&addr).ok()
}

const ATTEMPTS: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claimed_port_cannot_be_claimed_twice() {
        let port = Port::free();
        assert!(claim(port.number()).is_none());
    }
}

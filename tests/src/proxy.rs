//! A proxy between servers: what they say to each other passes it, until a link is cut, stands still, or is half there.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// Passes on what is said between those who connect to it and one server.
pub struct Proxy {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    target: Mutex<u16>,
    links: Mutex<Vec<Arc<Link>>>,
    is_over: AtomicBool,
}

/// One connection, and the one that the proxy made for it.
struct Link {
    near: TcpStream,
    far: TcpStream,
    /// Bytes, of both directions, until it is cut.
    left: AtomicU64,
    is_held: Mutex<bool>,
    released: Condvar,
    is_over: AtomicBool,
}

/// One side of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Who connected.
    Near,
    /// Whom the proxy connected to.
    Far,
}

impl Proxy {
    /// To what listens at this port of 127.0.0.1.
    pub fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there are ports");
        let port = listener.local_addr().expect("it is bound").port();
        let shared = Arc::new(Shared { target: Mutex::new(target), ..Shared::default() });
        let serving = Arc::clone(&shared);
        thread::spawn(move || serve(&listener, &serving));
        Self { port, shared }
    }

    /// Links are made to this port from now on.
    pub fn aim(&self, target: u16) {
        *self.shared.target.lock().expect("nobody panics with it") = target;
    }

    /// Cuts one link: the last that was made, the one before it, or so on.
    pub fn cut_one(&self, before_last: usize) {
        let links = self.shared.links.lock().expect("nobody panics with it");
        links[links.len() - 1 - before_last].cut();
    }

    /// Cuts all links.
    pub fn cut(&self) {
        self.shared.links.lock().expect("nobody panics with it").drain(..).for_each(|link| link.cut());
    }

    /// How many links there are that nobody has ended.
    pub fn living(&self) -> usize {
        self.shared.living().len()
    }

    /// Cuts a living link when so many more bytes have passed.
    pub fn cut_after(&self, index: usize, bytes: u64) {
        self.shared.with(index, |link| link.left.store(bytes, Relaxed));
    }

    /// Nothing passes a living link any more, and nobody hears of it, until [`Proxy::release`].
    pub fn hold(&self, index: usize) {
        self.shared.with(index, |link| *link.is_held.lock().expect("nobody panics with it") = true);
    }

    /// The same, and one side of it ends.
    pub fn halve(&self, index: usize, side: Side) {
        self.hold(index);
        self.shared.with(index, |link| {
            let stream = if side == Side::Near { &link.near } else { &link.far };
            // It may be over already.
            let _ = stream.shutdown(Shutdown::Both);
        });
    }

    /// What is held passes again; what is half there ends.
    pub fn release(&self) {
        self.shared.links.lock().expect("nobody panics with it").iter().for_each(|link| link.release());
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Relaxed);
        // So that it looks.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        self.cut();
    }
}

impl Shared {
    fn living(&self) -> Vec<Arc<Link>> {
        let links = self.links.lock().expect("nobody panics with it");
        links.iter().filter(|link| !link.is_over.load(Relaxed)).map(Arc::clone).collect()
    }

    /// Does something with a living link, if there is one of this number.
    fn with(&self, index: usize, what: impl FnOnce(&Link)) {
        if let Some(link) = self.living().get(index) {
            what(link);
        }
    }
}

impl Link {
    fn cut(&self) {
        for stream in [&self.near, &self.far] {
            // It may be cut already.
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.release();
    }

    fn release(&self) {
        *self.is_held.lock().expect("nobody panics with it") = false;
        self.released.notify_all();
    }

    fn wait_until_released(&self) {
        let held = self.is_held.lock().expect("nobody panics with it");
        drop(self.released.wait_while(held, |is_held| *is_held).expect("nobody panics with it"));
    }

    /// Passes on what one side says.
    fn pass(&self, mut from: &TcpStream, mut to: &TcpStream) {
        let mut buffer = [0; 16384];
        while let Ok(len @ 1..) = from.read(&mut buffer) {
            self.wait_until_released();
            let took =
                |left: u64| Some(if left == u64::MAX { left } else { left.saturating_sub(len as u64) });
            let left = self.left.fetch_update(Relaxed, Relaxed, took).expect("it is always taken");
            let len = left.min(len as u64) as usize;
            if to.write_all(&buffer[..len]).is_err() || left == len as u64 {
                break;
            }
        }
        self.wait_until_released();
        self.is_over.store(true, Relaxed);
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    }
}

fn serve(listener: &TcpListener, shared: &Shared) {
    for near in listener.incoming().map_while(Result::ok) {
        if shared.is_over.load(Relaxed) {
            return;
        }
        let target = *shared.target.lock().expect("nobody panics with it");
        let far = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], target)));
        // Nobody listens there: who came is let go.
        let Ok(far) = far else { continue };
        let link = Arc::new(Link {
            near,
            far,
            left: AtomicU64::new(u64::MAX),
            is_held: Mutex::new(false),
            released: Condvar::new(),
            is_over: AtomicBool::new(false),
        });
        shared.links.lock().expect("nobody panics with it").push(Arc::clone(&link));
        let back = Arc::clone(&link);
        thread::spawn(move || link.pass(&link.near, &link.far));
        thread::spawn(move || back.pass(&back.far, &back.near));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that sends back what it hears, and a client of the proxy in between.
    fn pair() -> (Proxy, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there are ports");
        let proxy = Proxy::to(listener.local_addr().expect("it is bound").port());
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut back = stream.try_clone().expect("a copy");
                thread::spawn(move || std::io::copy(&mut stream, &mut back));
            }
        });
        let client = TcpStream::connect(("127.0.0.1", proxy.port)).expect("it listens");
        client.set_read_timeout(Some(crate::WAIT_MAX)).expect("there are timeouts");
        (proxy, client)
    }

    fn echoes(mut client: &TcpStream) -> bool {
        let mut heard = [0; 4];
        client.write_all(b"told").is_ok() && client.read_exact(&mut heard).is_ok() && heard == *b"told"
    }

    #[test]
    fn a_link_is_cut_within_what_is_said() {
        let (proxy, mut client) = pair();
        assert!(echoes(&client));
        // The way there and the way back.
        proxy.cut_after(0, 10);
        client.write_all(b"abcdef").expect("it is taken");
        let mut heard = Vec::new();
        let _ = client.read_to_end(&mut heard);
        assert_eq!(heard, b"abcd");
        assert_eq!(proxy.living(), 0);
    }

    #[test]
    fn a_link_that_is_held_goes_on_and_one_that_is_halved_ends() {
        let (proxy, client) = pair();
        assert!(echoes(&client));
        proxy.hold(0);
        (&client).write_all(b"late").expect("it is taken");
        proxy.release();
        let mut heard = [0; 4];
        (&client).read_exact(&mut heard).expect("it goes on");
        assert_eq!(heard, *b"late");
        proxy.halve(0, Side::Far);
        assert_eq!(proxy.living(), 1, "the near side does not know");
        proxy.release();
        assert!(!echoes(&client));
    }
}

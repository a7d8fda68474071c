//! The limit on open files is the whole process's, so this test is a program of its own.

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use reactor::cores::{self, Cores, Layout, PinMode};
use reactor::net::{Listener, Socket};
use reactor::task;

const CLIENTS: usize = 40;
const BOUND: Duration = Duration::from_secs(60);
static ACCEPTED: AtomicUsize = AtomicUsize::new(0);

/// More clients connect than the process has descriptors for: those that fit are served, the listener survives, other
/// tasks go on, and the rest is accepted when there are descriptors again.
fn main() {
    let listener = Listener::tcp(SocketAddr::from(([127, 0, 0, 1], 0)), 128, false).unwrap();
    let addr = listener.local_addr().unwrap();
    // They wait in the backlog, complete, before anybody accepts.
    let mut clients: Vec<TcpStream> = (0..CLIENTS).map(|_| TcpStream::connect(addr).unwrap()).collect();
    let listener = Mutex::new(Some(listener));
    let layout = Layout::plan(Cores::Count(1), PinMode::No).unwrap();
    let core = thread::spawn(move || {
        cores::run(&layout, move |_| serve(listener.lock().unwrap().take().unwrap())).unwrap();
    });
    for client in &mut clients {
        client.set_read_timeout(Some(BOUND)).unwrap();
        assert_eq!(client.read(&mut [0]).unwrap(), 1);
    }
    core.join().unwrap();
    println!("shortage: ok");
}

async fn serve(mut listener: Listener) {
    let limit = open_files() + CLIENTS / 2;
    let before = set_limit(limit as u64);
    task::spawn(async move {
        for _ in 0..CLIENTS {
            let mut socket: Socket = listener.accept().await.unwrap();
            socket.try_write(b"!").unwrap();
            ACCEPTED.fetch_add(1, Ordering::SeqCst);
            // Held open, as a connected client is.
            std::mem::forget(socket);
        }
    });
    let begin = Instant::now();
    while open_files() < limit - 1 {
        assert!(begin.elapsed() < BOUND, "{} of {limit} files open", open_files());
        task::yield_now().await;
    }
    let short = ACCEPTED.load(Ordering::SeqCst);
    assert!(0 < short && short < CLIENTS);
    set_limit(before);
    while ACCEPTED.load(Ordering::SeqCst) < CLIENTS {
        assert!(begin.elapsed() < BOUND);
        task::yield_now().await;
    }
}

/// Counts without opening a file, which would need a descriptor.
fn open_files() -> usize {
    // SAFETY: fcntl with F_GETFD only asks about a number.
    (0..4096).filter(|fd| unsafe { libc::fcntl(*fd, libc::F_GETFD) } >= 0).count()
}

/// Sets the soft limit and returns the one before.
fn set_limit(soft: u64) -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is ours to be written, and then only read.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit), 0);
        let before = limit.rlim_cur;
        limit.rlim_cur = soft;
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &limit), 0);
        before
    }
}

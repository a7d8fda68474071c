//! Sockets and listeners against the standard library's blocking sockets as clients.

use std::fs;
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use reactor::cores::{self, Cores, Layout, PinMode};
use reactor::net::{self, Endpoint, Listener, Socket};
use reactor::{StartError, task};
use socket2::SockRef;

const LOCAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
const BOUND: Duration = Duration::from_secs(60);

/// Runs `serve` on one core with a listener, and `call` as the client of it on this thread.
fn pair<Fut: Future<Output = ()> + 'static>(
    serve: impl FnOnce(Listener) -> Fut + Send + 'static,
    call: impl FnOnce(SocketAddr),
) {
    let listener = Listener::tcp(LOCAL, 128, false).unwrap();
    let addr = listener.local_addr().unwrap();
    let server = serve_on_a_core(listener, serve);
    call(addr);
    server.join().unwrap();
}

fn serve_on_a_core<Fut: Future<Output = ()> + 'static>(
    listener: Listener,
    serve: impl FnOnce(Listener) -> Fut + Send + 'static,
) -> thread::JoinHandle<()> {
    let once = Mutex::new(Some((listener, serve)));
    let layout = Layout::plan(Cores::Count(1), PinMode::No).unwrap();
    thread::spawn(move || {
        cores::run(&layout, move |_| {
            let (listener, serve) = once.lock().unwrap().take().unwrap();
            serve(listener)
        })
        .unwrap();
    })
}

fn client(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(BOUND)).unwrap();
    stream
}

async fn read(socket: &mut Socket) -> io::Result<Vec<u8>> {
    let mut buf = [0; 4096];
    let got = poll_fn(|cx| socket.poll_read(cx, &mut buf)).await?;
    Ok(buf[..got].to_vec())
}

async fn write_all(socket: &mut Socket, bytes: &[u8]) -> io::Result<()> {
    let mut sent = 0;
    while sent < bytes.len() {
        sent += poll_fn(|cx| socket.poll_write(cx, &bytes[sent..])).await?;
    }
    Ok(())
}

#[test]
fn a_client_is_served_and_named() {
    pair(
        async |mut listener| {
            let mut socket = listener.accept().await.unwrap();
            assert_eq!(socket.local(), *listener.local());
            socket.set_nodelay(true).unwrap();
            socket.set_keepalive(300).unwrap();
            let name = read(&mut socket).await.unwrap();
            assert_eq!(socket.peer().to_string().into_bytes(), name);
            assert_eq!(socket.try_write(b"+O").unwrap(), 2);
            assert_eq!(socket.try_write_vectored(&[IoSlice::new(b"K"), IoSlice::new(b"\r\n")]).unwrap(), 3);
            assert_eq!(read(&mut socket).await.unwrap(), b"");
        },
        |addr| {
            let mut stream = client(addr);
            write!(stream, "{}", stream.local_addr().unwrap()).unwrap();
            let mut reply = [0; 5];
            stream.read_exact(&mut reply).unwrap();
            assert_eq!(&reply, b"+OK\r\n");
        },
    );
}

#[test]
fn a_client_that_sends_and_closes_its_side_gets_its_answer() {
    pair(
        async |mut listener| {
            let mut socket = listener.accept().await.unwrap();
            let mut request = Vec::new();
            loop {
                let part = read(&mut socket).await.unwrap();
                if part.is_empty() {
                    break;
                }
                request.extend(part);
            }
            assert_eq!(request, b"PING\r\nPING\r\n");
            assert_eq!(read(&mut socket).await.unwrap(), b"", "end of input stays the end");
            write_all(&mut socket, b"+PONG\r\n+PONG\r\n").await.unwrap();
        },
        |addr| {
            let mut stream = client(addr);
            stream.write_all(b"PING\r\nPING\r\n").unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut reply = Vec::new();
            stream.read_to_end(&mut reply).unwrap();
            assert_eq!(reply, b"+PONG\r\n+PONG\r\n");
        },
    );
}

#[test]
fn a_reset_connection_is_an_error_to_read_and_to_write() {
    pair(
        async |mut listener| {
            let mut socket = listener.accept().await.unwrap();
            let error = read(&mut socket).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            // The process survives: no SIGPIPE.
            let error = socket.try_write(b"x").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
            socket.shutdown().unwrap();
        },
        |addr| {
            let stream = client(addr);
            SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        },
    );
}

#[test]
fn one_task_waits_to_read_and_to_write_at_once() {
    const BYTES: usize = 8 << 20;
    static WAITS_FOR_BOTH: AtomicBool = AtomicBool::new(false);
    pair(
        async |mut listener| {
            let mut socket = listener.accept().await.unwrap();
            let output = vec![b'x'; BYTES];
            let (mut sent, mut received) = (0, 0);
            let mut buf = [0; 4096];
            poll_fn(|cx| {
                loop {
                    let read = socket.poll_read(cx, &mut buf).map(|got| received += got.unwrap());
                    let written = socket.poll_write(cx, &output[sent..]).map(|put| sent += put.unwrap());
                    if sent == BYTES && received == 1 {
                        return Poll::Ready(());
                    }
                    if read.is_pending() && (written.is_pending() || sent == BYTES) {
                        WAITS_FOR_BOTH.fetch_or(sent < BYTES, Ordering::SeqCst);
                        return Poll::Pending;
                    }
                }
            })
            .await;
        },
        |addr| {
            let mut stream = client(addr);
            let begin = Instant::now();
            while !WAITS_FOR_BOTH.load(Ordering::SeqCst) {
                assert!(begin.elapsed() < BOUND, "the buffers never filled");
                thread::yield_now();
            }
            // First there is something to read, then room to write: each must wake the one task.
            stream.write_all(b"!").unwrap();
            stream.read_exact(&mut vec![0; BYTES]).unwrap();
        },
    );
}

#[test]
fn shutting_a_socket_down_wakes_its_reader() {
    pair(
        async |mut listener| {
            let mut socket = listener.accept().await.unwrap();
            let fd = socket.raw_fd();
            task::spawn(async move {
                // As CLIENT KILL would from elsewhere.
                let twin = Socket::from_fd(duplicate(fd));
                twin.shutdown().unwrap();
            });
            assert_eq!(read(&mut socket).await.unwrap(), b"");
        },
        |addr| assert_eq!(client(addr).read(&mut [0]).unwrap(), 0),
    );
}

fn duplicate(fd: i32) -> std::os::fd::OwnedFd {
    let path = format!("/proc/self/fd/{fd}");
    assert!(fs::read_link(path).is_ok());
    // SAFETY: the test holds the socket open while this borrow lives.
    unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) }.try_clone_to_owned().unwrap()
}

#[test]
fn an_accepted_socket_moves_to_another_core() {
    let listener = Mutex::new(Some(Listener::tcp(LOCAL, 128, false).unwrap()));
    let addr = listener.lock().unwrap().as_ref().unwrap().local_addr().unwrap();
    let (give, take) = std::sync::mpsc::channel();
    let take = Mutex::new(take);
    let layout = Layout::plan(Cores::Count(2), PinMode::No).unwrap();
    let server = thread::spawn(move || {
        let take = Arc::new(take);
        cores::run(&layout, move |core| {
            let listener = (core.index == 0).then(|| listener.lock().unwrap().take().unwrap());
            let (give, take) = (give.clone(), Arc::clone(&take));
            async move {
                if let Some(mut listener) = listener {
                    // One fresh, one that its first core has read from.
                    give.send(listener.accept().await.unwrap().into_fd().unwrap()).unwrap();
                    let mut used = listener.accept().await.unwrap();
                    assert_eq!(read(&mut used).await.unwrap(), b"1");
                    write_all(&mut used, b"2").await.unwrap();
                    give.send(used.into_fd().unwrap()).unwrap();
                } else {
                    for _ in 0..2 {
                        let mut socket = Socket::from_fd(take.lock().unwrap().recv_timeout(BOUND).unwrap());
                        assert!(matches!(socket.peer(), Endpoint::Tcp(addr) if addr.port() != 0));
                        let heard = read(&mut socket).await.unwrap();
                        write_all(&mut socket, &heard).await.unwrap();
                    }
                }
            }
        })
        .unwrap();
    });
    let (mut first, mut second) = (client(addr), client(addr));
    first.write_all(b"a").unwrap();
    second.write_all(b"1").unwrap();
    let mut reply = [0];
    first.read_exact(&mut reply).unwrap();
    assert_eq!(&reply, b"a");
    second.read_exact(&mut reply).unwrap();
    assert_eq!(&reply, b"2");
    second.write_all(b"b").unwrap();
    second.read_exact(&mut reply).unwrap();
    assert_eq!(&reply, b"b");
    server.join().unwrap();
}

#[test]
fn two_thousand_connections_opened_and_dropped_leave_nothing() {
    pair(
        async |mut listener| {
            let before = open_files();
            for _ in 0..2000 {
                let mut socket = listener.accept().await.unwrap();
                task::spawn(
                    async move { while read(&mut socket).await.is_ok_and(|part| !part.is_empty()) {} },
                );
            }
            let begin = Instant::now();
            // The client thread lives in this process: its ends close too.
            while open_files() > before {
                assert!(begin.elapsed() < BOUND, "{} files are open, {before} before", open_files());
                task::yield_now().await;
            }
        },
        |addr| {
            let mut held = Vec::new();
            for number in 0..2000 {
                let mut stream = client(addr);
                if number % 3 == 0 {
                    stream.write_all(b"garbage").unwrap();
                }
                if number % 100 == 0 {
                    held.clear();
                }
                held.push(stream);
            }
        },
    );
}

fn open_files() -> usize {
    // Sockets only: other tests of this process open and close other files.
    let links = fs::read_dir("/proc/self/fd").unwrap();
    links.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok()).filter(|link| is_socket(link)).count()
}

fn is_socket(link: &Path) -> bool {
    link.to_string_lossy().starts_with("socket:")
}

#[test]
fn connecting_works_is_refused_or_times_out() {
    let server = TcpListener::bind(LOCAL).unwrap();
    let addr = server.local_addr().unwrap();
    // A full backlog drops what tries to connect.
    let deaf = Listener::tcp(LOCAL, 0, false).unwrap();
    let full = deaf.local_addr().unwrap();
    let _queued = client(full);
    let closed = TcpListener::bind(LOCAL).unwrap().local_addr().unwrap();
    let listener = Listener::tcp(LOCAL, 1, false).unwrap();
    let core = serve_on_a_core(listener, move |_| async move {
        let mut socket = Socket::connect(addr, BOUND).await.unwrap();
        assert_eq!(socket.peer(), Endpoint::Tcp(addr));
        write_all(&mut socket, b"hello").await.unwrap();
        socket.shutdown_write().unwrap();
        let error = Socket::connect(closed, BOUND).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        let error = Socket::connect(full, Duration::from_millis(50)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    });
    let mut heard = String::new();
    server.accept().unwrap().0.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "hello");
    core.join().unwrap();
}

#[test]
fn a_port_of_another_process_is_refused_however_it_was_bound() {
    for shared in [false, true] {
        let other = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        other.set_reuse_address(true).unwrap();
        other.set_reuse_port(shared).unwrap();
        other.bind(&LOCAL.into()).unwrap();
        other.listen(1).unwrap();
        let addr = other.local_addr().unwrap().as_socket().unwrap();
        let error = net::claim(addr).unwrap_err();
        assert!(matches!(error, StartError::PortTaken { .. }), "{error}");
        assert_eq!(error.exit_code(), 75);
        assert!(error.to_string().contains(&addr.to_string()));
    }
}

#[test]
fn a_claimed_port_is_shared_by_our_cores_and_nobody_else() {
    let refused = |addr| {
        assert!(TcpListener::bind(addr).is_err());
        assert!(matches!(net::claim(addr), Err(StartError::PortTaken { .. })), "a second server is refused");
    };
    let mut claim = net::claim(LOCAL).unwrap();
    let addr = claim.local_addr();
    assert_ne!(addr.port(), 0);
    refused(addr);
    let first = claim.listen(128).unwrap();
    refused(addr);
    let others = [claim.listen(128).unwrap(), claim.listen(128).unwrap()];
    drop(claim);
    refused(addr);
    assert_eq!(first.local_addr(), Some(addr));
    drop(first);
    refused(addr);
    drop(others);
    net::claim(addr).unwrap();
}

#[test]
fn of_many_that_claim_a_port_at_the_same_moment_one_gets_it() {
    for _ in 0..50 {
        let addr = net::claim(LOCAL).unwrap().local_addr();
        let start = Arc::new(Barrier::new(4));
        let racers: Vec<_> = (0..4)
            .map(|_| {
                let start = Arc::clone(&start);
                thread::spawn(move || {
                    start.wait();
                    net::claim(addr).ok()
                })
            })
            .collect();
        let claims: Vec<_> = racers.into_iter().filter_map(|racer| racer.join().unwrap()).collect();
        assert!(claims.len() <= 1, "{} servers share a port", claims.len());
    }
}

#[test]
fn connections_made_while_the_server_starts_are_served() {
    let mut claim = net::claim(LOCAL).unwrap();
    let mut early = client(claim.local_addr());
    early.write_all(b"early").unwrap();
    let core = serve_on_a_core(claim.listen(128).unwrap(), async |mut listener| {
        let mut socket = listener.accept().await.unwrap();
        let heard = read(&mut socket).await.unwrap();
        write_all(&mut socket, &heard).await.unwrap();
    });
    let mut reply = String::new();
    early.read_to_string(&mut reply).unwrap();
    assert_eq!(reply, "early");
    core.join().unwrap();
}

#[test]
fn a_restarted_server_gets_its_port_back_at_once() {
    let mut claim = net::claim(LOCAL).unwrap();
    let addr = claim.local_addr();
    // The server closes first, so its side stays in TIME_WAIT.
    let core = serve_on_a_core(claim.listen(128).unwrap(), async |mut listener| {
        drop(listener.accept().await.unwrap());
    });
    assert_eq!(client(addr).read(&mut [0]).unwrap(), 0);
    core.join().unwrap();
    drop(claim);
    net::claim(addr).unwrap().listen(128).unwrap();
}

#[test]
fn an_address_that_is_not_here_is_told_apart() {
    // 192.0.2.0/24 is for documentation, 2001:db8::/32 likewise.
    for addr in ["192.0.2.1:0", "[2001:db8::1]:0"] {
        let error = net::claim(addr.parse().unwrap()).unwrap_err();
        assert!(matches!(error, StartError::NoSuchAddress { .. }), "{error}");
        assert_eq!(error.exit_code(), 78);
    }
}

#[test]
fn ipv6_takes_ipv6_only_or_says_that_it_is_off() {
    let mut claim = match net::claim((Ipv6Addr::UNSPECIFIED, 0).into()) {
        Ok(claim) => claim,
        Err(error) => return assert!(matches!(error, StartError::NoSuchAddress { .. }), "{error}"),
    };
    let port = claim.local_addr().port();
    let _v6 = claim.listen(128).unwrap();
    // A dual-stack socket would hold the IPv4 port too.
    Listener::tcp(([0, 0, 0, 0], port).into(), 128, false).unwrap();
}

#[test]
fn a_unix_client_is_served_and_the_file_goes_with_the_listener() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("l.sock");
    let listener = Listener::unix(&path, Some(0o700), 128).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o700);
    let expected = format!("{}:0", path.display());
    let core = serve_on_a_core(listener, async move |mut listener| {
        let mut socket = listener.accept().await.unwrap();
        assert_eq!(socket.peer().to_string(), expected);
        assert_eq!(socket.local().to_string(), expected);
        socket.set_nodelay(true).unwrap();
        socket.set_keepalive(300).unwrap();
        let heard = read(&mut socket).await.unwrap();
        write_all(&mut socket, &heard).await.unwrap();
        let moved = Socket::from_fd(socket.into_fd().unwrap());
        assert_eq!(moved.peer().to_string(), expected);
    });
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(b"ping").unwrap();
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).unwrap();
    assert_eq!(reply, b"ping");
    core.join().unwrap();
    assert!(!path.exists());
}

#[test]
fn only_a_stale_unix_socket_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("l.sock");

    let live = UnixListener::bind(&path).unwrap();
    let error = Listener::unix(&path, None, 128).unwrap_err();
    assert!(matches!(error, StartError::SocketTaken { .. }), "{error}");
    assert_eq!(error.exit_code(), 75);

    // The standard library leaves the file, as a crash does.
    drop(live);
    assert!(path.exists());
    drop(Listener::unix(&path, None, 128).unwrap());

    fs::write(&path, "precious").unwrap();
    let error = Listener::unix(&path, None, 128).unwrap_err();
    assert!(matches!(error, StartError::SocketPath { .. }), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"precious");

    let error = Listener::unix(directory.path().join("no/such/l.sock"), None, 128).unwrap_err();
    assert_eq!(error.exit_code(), 73);
    let error = Listener::unix(directory.path().join("x".repeat(200)), None, 128).unwrap_err();
    assert_eq!(error.exit_code(), 73);
}

//! Answers `+PONG` to every command: what the loop, the sockets and the kernel cost without a database behind them.
//!
//! `echo PORT [CORES] [PIN]`, measured with `redis-benchmark -t ping_mbulk -p PORT`. The environment variable
//! `LACEWING_NO_COOP_TASKRUN` leaves the ring flag out, for comparison.

use std::future::poll_fn;
use std::io;
use std::sync::Mutex;
use std::task::Poll;

use reactor::cores::{self, Cores, Layout, PinMode};
use reactor::net::{self, Listener, Socket};
use reactor::{StartError, task, uring};

fn main() {
    if let Err(error) = serve() {
        eprintln!("{error}");
        std::process::exit(error.exit_code());
    }
}

fn serve() -> Result<(), StartError> {
    let mut args = std::env::args().skip(1);
    let port: u16 = args.next().and_then(|port| port.parse().ok()).unwrap_or(0);
    let count: Cores = args.next().as_deref().unwrap_or("1").parse()?;
    let pin: PinMode = args.next().as_deref().unwrap_or("auto").parse()?;
    cores::probe()?;
    cores::raise_nofile(20_000);
    let layout = Layout::plan(count, pin)?;
    let mut claim = net::claim(([127, 0, 0, 1], port).into())?;
    println!("listening on {}", claim.local_addr());
    let listeners: Result<Vec<Listener>, StartError> =
        layout.cores.iter().map(|_| claim.listen(1024)).collect();
    let listeners = Mutex::new(listeners?);
    cores::run(&layout, move |core| {
        let mut listener = listeners.lock().unwrap().pop().expect("one for each core");
        println!("core {}: cooperative {}", core.index, uring::coop_taskrun_active());
        async move {
            while let Ok(socket) = listener.accept().await {
                task::spawn(connection(socket));
            }
        }
    })
}

async fn connection(mut socket: Socket) {
    let _ = socket.set_nodelay(true);
    let (mut input, mut used) = (vec![0; 16 * 1024], 0);
    let mut output = Vec::new();
    loop {
        let got = poll_fn(|cx| socket.poll_read(cx, &mut input[used..])).await;
        match got {
            Ok(0) | Err(_) => return,
            Ok(bytes) => used += bytes,
        }
        let mut taken = 0;
        while let Some(length) = command_length(&input[taken..used]) {
            taken += length;
            output.extend_from_slice(b"+PONG\r\n");
        }
        input.copy_within(taken..used, 0);
        used -= taken;
        if write_all(&mut socket, &output).await.is_err() {
            return;
        }
        output.clear();
    }
}

async fn write_all(socket: &mut Socket, mut bytes: &[u8]) -> io::Result<()> {
    poll_fn(|cx| {
        while !bytes.is_empty() {
            match socket.poll_write(cx, bytes)? {
                Poll::Ready(sent) => bytes = &bytes[sent..],
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    })
    .await
}

/// The length of the first command, an array of bulk strings or one line, if it is complete.
fn command_length(bytes: &[u8]) -> Option<usize> {
    let mut at = line_length(bytes)?;
    if bytes[0] != b'*' {
        return Some(at);
    }
    for _ in 0..number(&bytes[1..at]) {
        let header = line_length(&bytes[at..])?;
        let body = number(&bytes[at + 1..at + header]);
        at += header + body + 2;
        if at > bytes.len() {
            return None;
        }
    }
    Some(at)
}

fn line_length(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| *byte == b'\n').map(|end| end + 1)
}

fn number(line: &[u8]) -> usize {
    line.iter().take_while(|byte| byte.is_ascii_digit()).fold(0, |n, byte| n * 10 + usize::from(byte - b'0'))
}

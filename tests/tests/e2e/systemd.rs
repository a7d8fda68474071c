//! The service manager's side: the unit file, and the messages of a service of `Type=notify`.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::Command;

use lacewing_tests::{Server, WAIT_MAX, installed, run};

/// The unit with what an installed system has put in the places of files that are only here.
#[test]
fn unit_file_is_clean() {
    if !installed("systemd-analyze") {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let unit = include_str!("../../../deploy/lacewing.service");
    let binary = Server::binary().display().to_string();
    assert!(unit.contains("ExecStart=/usr/bin/lacewing "));
    let path = dir.path().join("lacewing.service");
    std::fs::write(&path, unit.replace("/usr/bin/lacewing", &binary)).expect("the directory is writable");
    let ended = run(Command::new("systemd-analyze").arg("verify").arg("--man=no").arg(&path), b"");
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", ""));
}

#[test]
fn service_manager_is_told_of_start_life_and_end_on_a_socket_file() {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let path = dir.path().join("notify.sock");
    let socket = UnixDatagram::bind(&path).expect("the socket can be made");
    lives_under_a_service_manager(&socket, path.to_str().expect("temporary paths are UTF-8"));
}

#[test]
fn service_manager_is_told_of_start_life_and_end_on_an_abstract_socket() {
    let name = format!("lacewing-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("the name is short");
    let socket = UnixDatagram::bind_addr(&address).expect("the name is free");
    lives_under_a_service_manager(&socket, &format!("@{name}"));
}

#[track_caller]
fn lives_under_a_service_manager(socket: &UnixDatagram, name: &str) {
    socket.set_read_timeout(Some(WAIT_MAX)).expect("the socket takes a timeout");
    let env = [("NOTIFY_SOCKET", name), ("WATCHDOG_USEC", WATCHDOG_US)];
    let mut server = Server::with_env(&["--supervised", "systemd"], &env);
    let ready = receive(socket);
    assert!(ready.lines().any(|line| line == "READY=1"), "{ready}");
    assert_eq!(server.client().line("PING"), "+PONG");
    assert!(server.client().line("INFO server").contains(r"process_supervised:systemd\r\n"));
    for _ in 0..2 {
        assert_eq!(receive(socket).trim_end(), "WATCHDOG=1");
    }
    server.signal("TERM");
    let stopping =
        std::iter::repeat_with(|| receive(socket)).find(|message| message.trim_end() != "WATCHDOG=1");
    assert!(
        stopping.as_ref().is_some_and(|text| text.lines().any(|line| line == "STOPPING=1")),
        "{stopping:?}"
    );
    assert_eq!(server.wait().code(), Some(0));
}

/// What takes long before the end is told, and asks for the time that it takes.
#[test]
fn service_manager_is_told_of_a_snapshot_before_the_end() {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let path = dir.path().join("notify.sock");
    let socket = UnixDatagram::bind(&path).expect("the socket can be made");
    socket.set_read_timeout(Some(WAIT_MAX)).expect("the socket takes a timeout");
    let env = [("NOTIFY_SOCKET", path.to_str().expect("temporary paths are UTF-8"))];
    let mut server = Server::with_env(&["--supervised", "systemd", "--save", "3600 1"], &env);
    assert!(receive(&socket).contains("READY=1"));
    assert_eq!(server.client().line("SET k v"), "+OK");
    server.signal("TERM");
    let lines: Vec<String> =
        std::iter::from_fn(|| Some(receive(&socket)).filter(|message| !message.contains("to the disk")))
            .collect();
    let place = |text: &str| lines.iter().position(|message| message.contains(text));
    let saving = place("STATUS=Taking a snapshot before the end").unwrap_or_else(|| panic!("{lines:?}"));
    assert!(lines[saving].contains("\nEXTEND_TIMEOUT_USEC="), "{lines:?}");
    assert!(place("STOPPING=1").is_some_and(|stopping| stopping > saving), "{lines:?}");
    assert_eq!(server.wait().code(), Some(0));
}

fn receive(socket: &UnixDatagram) -> String {
    let mut message = [0; 4096];
    let len = socket.recv(&mut message).expect("a message comes");
    String::from_utf8(message[..len].to_vec()).expect("messages are text")
}

/// The server is to give a sign of life twice in this time, in microseconds.
const WATCHDOG_US: &str = "200000";

//! CLIENT TRACKING over real connections: against redis-server, and on more cores than there are processors.

mod cache;
mod oracle;
mod order;

use lacewing_tests::{Client, Server, show};

/// A server of so many cores.
fn server(cores: &str) -> Server {
    Server::with(&["--cores", cores, "--pin", "no"])
}

/// What has come to a client by now: push messages, or a subscriber's messages, before the answer to a PING.
#[track_caller]
fn arrived(client: &mut Client) -> Vec<String> {
    let mut messages: Vec<String> = client.pushes().iter().map(show).collect();
    client.send(&["PING"]);
    loop {
        match show(&client.read_push()).as_str() {
            "+PONG" | r#"["pong", ""]"# => return messages,
            message => messages.push(message.to_owned()),
        }
    }
}

/// A field of INFO.
#[track_caller]
pub(super) fn info(client: &mut Client, field: &str) -> u64 {
    let text = client.line("INFO everything");
    let start = text.find(&format!("\\n{field}:")).unwrap_or_else(|| panic!("no {field} in {text}"));
    let digits: String = text[start + field.len() + 3..].chars().take_while(char::is_ascii_digit).collect();
    digits.parse().expect("a number")
}

//! Publish and subscribe over real connections, on one core and on more cores than there are processors.

mod churn;
mod events;
mod modes;
mod order;
mod slow;

use lacewing_tests::{Client, Server, show};

/// Runs `test` against a server of one core, and of four.
fn on_one_core_and_four(test: impl Fn(&Server)) {
    for cores in ["1", "4"] {
        test(&Server::with(&["--cores", cores, "--pin", "no"]));
    }
}

/// The next message, or confirmation, as [`show`] prints it.
#[track_caller]
fn next(client: &mut Client) -> String {
    show(&client.read_push())
}

/// Sends a command and shows the one push message, or array, that it is answered with.
#[track_caller]
fn ask(client: &mut Client, command: &str) -> String {
    let args: Vec<&str> = command.split(' ').collect();
    client.send(&args);
    next(client)
}

/// A field of INFO.
#[track_caller]
fn info(client: &mut Client, field: &str) -> u64 {
    let text = client.line("INFO everything");
    let start = text.find(&format!("\\n{field}:")).unwrap_or_else(|| panic!("no {field} in {text}"));
    let digits: String = text[start + field.len() + 3..].chars().take_while(char::is_ascii_digit).collect();
    digits.parse().expect("a number")
}

//! Signals are the whole process's, and no thread may be older than the mask: so this test is a program of its own.

use std::process::Command;
use std::thread;

use reactor::cores::{self, Cores, Layout, PinMode};
use reactor::signals::{self, Signal, Signals};

const CASES: [(&str, Signal); 4] = [
    ("-TERM", Signal::Terminate),
    ("-HUP", Signal::Hangup),
    ("-INT", Signal::Interrupt),
    ("-TERM", Signal::Terminate),
];

fn main() {
    signals::block().unwrap();
    let layout = Layout::plan(Cores::Count(2), PinMode::No).unwrap();
    cores::run(&layout, |core| async move {
        if core.index == 0 {
            every_signal_arrives_as_a_value().await;
        }
    })
    .unwrap();
    println!("signals: ok");
}

async fn every_signal_arrives_as_a_value() {
    let mut signals = Signals::open().unwrap();
    // SIGPIPE is ignored, so it may come first and changes nothing.
    send("-PIPE").join().unwrap();
    for (name, expected) in CASES {
        let sender = send(name);
        assert_eq!(signals.next().await.unwrap(), expected);
        sender.join().unwrap();
    }
}

fn send(name: &'static str) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let status = Command::new("kill").args([name, &std::process::id().to_string()]).status();
        assert!(status.unwrap().success());
    })
}

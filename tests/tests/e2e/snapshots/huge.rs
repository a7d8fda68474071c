//! HAZARDS 34: one huge value, in a snapshot and at a start, takes memory for a piece of it at a time.
//!
//! `LACEWING_LONG_BYTES` is the size of the list, 128 MB without it; `docs/testing.md` has the command for 2 GB.

use super::{field, fields};
use lacewing_tests::{Client, Server, while_it_goes_on};
use resp::Value;
use std::sync::Arc;

const ELEMENT: usize = 1000;
const IN_ONE: usize = 500;
/// What a snapshot or a start may take besides, whatever the size of the value: buffers, and what zstd needs.
const BESIDES_MIB: u64 = 48;

fn list_bytes() -> usize {
    std::env::var("LACEWING_LONG_BYTES").ok().and_then(|text| text.parse().ok()).unwrap_or(128 << 20)
}

/// Pushes elements that do not compress well; returns how many.
fn push(client: &mut Client, bytes: usize) -> usize {
    let mut rng = stdx::rng::Rng::new(1);
    let mut count = 0;
    while count * ELEMENT < bytes {
        let elements: Vec<String> = (0..IN_ONE)
            .map(|_| (0..ELEMENT / 16).map(|_| format!("{:016x}", rng.next_u64())).collect())
            .collect();
        let mut words = vec!["RPUSH", "huge"];
        words.extend(elements.iter().map(String::as_str));
        count += IN_ONE;
        assert_eq!(client.call(&words), Value::Int(count as i64));
    }
    count
}

/// Waits until the field `ends` is 0, however long that takes, if only `goes_on` goes on.
fn wait(client: &mut Client, ends: &str, goes_on: &str) {
    while_it_goes_on(ends, || {
        let [ends, goes_on] = fields(client, [ends, goes_on]);
        if ends.as_deref() == Some("0") {
            return Ok(());
        }
        Err(goes_on.and_then(|number| number.parse().ok()).unwrap_or(0))
    });
}

#[test]
fn hazard_34_a_huge_value_is_saved_and_loaded_piece_by_piece() {
    let dir = Arc::new(tempfile::tempdir().expect("a temporary directory"));
    let args = ["--appendonly", "no", "--save", "", "--pin", "no", "--cores", "2"];
    let mut server = Server::on(Arc::clone(&dir), &args);
    let mut client = server.client();
    let bytes = list_bytes();
    let count = push(&mut client, bytes);
    let ends = |client: &mut Client| [client.line("LINDEX huge 0"), client.line("LINDEX huge -1")];
    let found = ends(&mut client);
    let data = server.rss_peak_mib();
    assert_eq!(client.line("BGSAVE"), "+Background saving started");
    wait(&mut client, "rdb_bgsave_in_progress", "current_save_bytes");
    assert_eq!(field(&mut client, "rdb_last_bgsave_status"), "ok");
    let saving = server.rss_peak_mib();
    eprintln!("{data} MiB of data, {saving} MiB at most while saving");
    assert!(saving <= data + BESIDES_MIB, "{saving} MiB while saving, {data} before");
    server.kill();

    let server = Server::loading(dir, &args, &[]);
    let mut client = server.client();
    wait(&mut client, "loading", "loading_loaded_bytes");
    assert_eq!(client.line("LLEN huge"), format!(":{count}"));
    assert_eq!(ends(&mut client), found);
    let loading = server.rss_peak_mib();
    eprintln!("{loading} MiB at most while loading");
    assert!(loading <= data + BESIDES_MIB, "{loading} MiB while loading, {data} in the server that saved");
}

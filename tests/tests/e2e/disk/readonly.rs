//! A file system that the kernel makes read-only under a server, as it does when the device has failed: one in a file, which only
//! the server sees.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use lacewing_tests::{Client, Server, installed, run, skipped, until};
use resp::Value;
use tempfile::TempDir;

use super::{asked, directory, field, field_asked, logging, refusal};

const KEYS: usize = 50;
const REFUSED: &str = "MISCONF Errors writing to the AOF file: Read-only file system";

/// A new file system in a file. `None` where there cannot be one.
fn image(dir: &TempDir) -> Option<PathBuf> {
    if !["mkfs.ext4", "e2fsck", "losetup", "nsenter"].into_iter().all(installed) {
        return None;
    }
    let path = dir.path().join("image");
    let file = std::fs::File::create(&path).expect("the directory is writable");
    file.set_len(64 << 20).expect("a file can have holes");
    let made = run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&path), b"");
    assert!(made.status.success(), "{}", made.stderr);
    let mut mount = Command::new("unshare");
    let mounted = run(mount.args(["-m", "mount", "-o", "loop"]).arg(&path).arg("/mnt"), b"");
    if !mounted.status.success() {
        skipped("a file cannot be mounted as a file system: not root, or no loop devices");
        return None;
    }
    Some(path)
}

/// A server whose directory is this file system.
fn server(dir: &Arc<TempDir>, image: &Path, policy: &str) -> Server {
    until("the file system is not mounted any more", || device(image).is_none().then_some(()));
    let (at, image) = (dir.path().display(), image.display());
    let mount = format!("mount -o loop,errors=remount-ro {image} {at} && exec \"$0\" \"$@\"");
    let args = [&logging("2", policy)[..], &["--log-segment-size", "1mb"]].concat();
    Server::under(Arc::clone(dir), &["unshare", "-m", "sh", "-c", &mount], &args)
}

/// The block device that the file is, while it is mounted.
fn device(image: &Path) -> Option<String> {
    let listed = run(Command::new("losetup").args(["-n", "-O", "NAME", "-j"]).arg(image), b"");
    listed.stdout.trim().strip_prefix("/dev/").map(str::to_owned)
}

/// Has the kernel find an error in the file system, which makes it read-only.
fn fail(image: &Path) {
    let device = device(image).expect("it is mounted");
    let trigger = format!("/sys/fs/ext4/{device}/trigger_fs_error");
    std::fs::write(&trigger, "1").unwrap_or_else(|error| panic!("{trigger}: {error}"));
}

fn write(client: &mut Client) {
    for number in 0..KEYS {
        assert_eq!(client.line(&format!("SET k{number} v{number}")), "+OK");
    }
}

#[test]
fn what_was_acknowledged_before_a_disk_became_read_only_is_on_it() {
    let files = TempDir::new().expect("a temporary directory");
    let Some(image) = image(&files) else { return };
    let dir = directory();
    let mut first = server(&dir, &image, "always");
    write(&mut first.client());
    fail(&image);
    assert_eq!(refusal(&first), REFUSED);
    first.kill();
    until("the file system is not mounted any more", || device(&image).is_none().then_some(()));
    // It corrects what the kernel has noted.
    run(Command::new("e2fsck").arg("-fy").arg(&image), b"");
    let second = server(&dir, &image, "always");
    let mut client = second.client();
    for number in 0..KEYS {
        assert_eq!(client.line(&format!("GET k{number}")), format!("\"v{number}\""));
    }
}

#[test]
fn a_server_whose_disk_became_read_only_goes_on_with_another() {
    let files = TempDir::new().expect("a temporary directory");
    let Some(image) = image(&files) else { return };
    let dir = directory();
    let server = server(&dir, &image, "everysec");
    write(&mut server.client());
    fail(&image);
    assert_eq!(refusal(&server), REFUSED);
    for number in 0..KEYS {
        let found = asked(&server, &["GET", &format!("k{number}")]);
        assert_eq!(found, Value::Bulk(format!("v{number}").into()), "reads go on");
    }
    assert_eq!(field_asked(&server, "aof_last_write_status"), "err");
    // Another disk in its place, and a new log.
    let mut mount = Command::new("nsenter");
    mount.args(["-m", "-t", &server.pid().to_string(), "mount", "-t", "tmpfs", "tmpfs"]).arg(dir.path());
    let mounted = run(&mut mount, b"");
    assert!(mounted.status.success(), "{}", mounted.stderr);
    for value in ["no", "yes"] {
        let set = asked(&server, &["CONFIG", "SET", "appendonly", value]);
        assert_eq!(set, Value::Simple("OK".into()));
    }
    let mut client = server.client();
    until("the log has begun", || (field(&mut client, "aof_rewrite_in_progress") == "0").then_some(()));
    assert_eq!(client.line("SET again 1"), "+OK");
    let keys = client.line("DBSIZE");
    // The directory goes with the process: what a kill would leave is read before.
    server.signal("STOP");
    let inside = dir.path().strip_prefix("/").expect("temporary paths are absolute");
    let here = PathBuf::from(format!("/proc/{}/root", server.pid())).join(inside);
    let copy = directory();
    let copied = run(Command::new("cp").arg("-r").arg(here.join(".")).arg(copy.path()), b"");
    assert!(copied.status.success(), "{}", copied.stderr);
    drop(server);
    let found = Server::on(copy, &["--appendonly", "yes"]);
    let mut client = found.client();
    assert_eq!(client.line("DBSIZE"), keys);
    assert_eq!(client.line("GET again"), "\"1\"");
}

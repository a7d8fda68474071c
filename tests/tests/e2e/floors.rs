//! Dependencies between crates point down only, as docs/ARCHITECTURE.md draws them, and each runtime package has one crate
//! that names it.

use serde_json::Value;
use std::process::Command;

/// From the bottom up. Crates of one floor do not depend on each other unless the later one is named later here.
const FLOORS: &[&[&str]] = &[
    &["stdx"],
    &["resp", "datatypes", "config", "metrics"],
    &["aof", "rdb", "pubsub", "script"],
    &["durable", "replication"],
    &["keyspace"],
    &["commands"],
    &["shard"],
    &["coordinator"],
    &["sim"],
    &["reactor"],
    &["storage"],
    &["server"],
    &["lacewing-tests", "lacewing-benches"],
];

/// Crates below the sans-IO line are below this floor.
const LINE: &str = "reactor";

/// Packages that only these crates may name.
const OWNED: &[(&str, &str)] = &[
    ("glommio", "reactor"),
    ("crossbeam-channel", "reactor"),
    ("hdrhistogram", "lacewing-benches"),
    ("bincode", "stdx"),
    ("mlua-sys", "script"),
    ("corosensei", "script"),
    ("object_store", "storage"),
    ("tokio", "storage"),
    ("reqwest", "storage"),
];

/// Packages that do I/O, read clocks or run tasks: nothing below the line names them, but for its tests.
const ABOVE_THE_LINE: &[&str] =
    &["glommio", "futures-lite", "libc", "rustix", "socket2", "tokio", "mio", "object_store", "tracing"];

struct Package {
    name: String,
    /// Names of what it depends on, development dependencies left out.
    dependencies: Vec<String>,
}

fn workspace() -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let packages = metadata["packages"].as_array().expect("there are packages");
    packages.iter().map(package).collect()
}

fn package(json: &Value) -> Package {
    let dependencies = json["dependencies"].as_array().expect("a list");
    let normal = dependencies.iter().filter(|dependency| dependency["kind"].as_str() != Some("dev"));
    Package {
        name: json["name"].as_str().expect("a name").to_owned(),
        dependencies: normal.map(|one| one["name"].as_str().expect("a name").to_owned()).collect(),
    }
}

fn floor(name: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&name))
}

#[test]
fn dependencies_point_down() {
    for package in workspace() {
        let own =
            floor(&package.name).unwrap_or_else(|| panic!("{} has no floor: give it one", package.name));
        for dependency in &package.dependencies {
            if let Some(other) = floor(dependency) {
                assert!(other < own, "{} depends on {dependency}, which is not below it", package.name);
            }
        }
    }
}

#[test]
fn each_runtime_package_has_one_crate_that_names_it() {
    for package in workspace() {
        for (owned, owner) in OWNED {
            let names_it = package.dependencies.iter().any(|dependency| dependency == owned);
            assert!(
                !names_it || package.name == *owner,
                "{} names {owned}, which is {owner}'s",
                package.name
            );
        }
    }
}

#[test]
fn nothing_below_the_line_does_io() {
    let line = floor(LINE).expect("the line is drawn");
    for package in workspace() {
        let is_below = floor(&package.name).is_some_and(|floor| floor < line);
        let found = package.dependencies.iter().find(|name| ABOVE_THE_LINE.contains(&name.as_str()));
        assert!(!is_below || found.is_none(), "{} is below the line and names {found:?}", package.name);
    }
}

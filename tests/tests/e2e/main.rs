//! End-to-end tests: everything here talks to a real server over a socket, but for the test of the crates' floors.
#![forbid(unsafe_code)]

mod across;
mod blocking;
mod check;
mod clients;
mod configuration;
mod connections;
mod counts;
mod crash;
mod differential;
mod disk;
mod dump;
mod floors;
mod following;
mod harness;
mod hazards;
mod import;
mod journal;
mod monitor;
mod programs;
mod pubsub;
mod rdb_files;
mod recovery;
mod replicas;
mod scripts;
mod serializable;
mod shutdown;
mod snapshots;
mod sorting;
mod spreads;
mod stores;
mod switches;
mod systemd;
mod tools;
mod tracking;
mod transactions;

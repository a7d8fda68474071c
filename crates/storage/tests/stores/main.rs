//! Snapshot sets in places elsewhere: in buckets of a real server of S3's protocol (moto, from PyPI), through a proxy that
//! plants faults, and in directories.

mod azure;
mod elsewhere;
mod faults;
mod hazards;
mod keeping;
mod node;
mod race;
mod tls;

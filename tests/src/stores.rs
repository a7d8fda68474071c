//! Object stores for tests: real servers of S3's protocol (moto, from PyPI) and of Azure's (azurite, from npm), and a proxy that
//! plants faults on the way to the first.

pub mod azurite;
mod child;
pub mod moto;
mod proxy;

pub use proxy::{Fate, Proxy};

/// A bucket of its own, and the proxy on the way to it.
pub struct Far {
    /// The bucket.
    pub name: String,
    /// The way to it.
    pub proxy: Proxy,
}

impl Far {
    /// A new one; `None` without the server, which is said.
    pub fn new() -> Option<Self> {
        let name = moto::bucket()?;
        Some(Self { name, proxy: Proxy::start(moto::address()?) })
    }

    /// What `snapshot-dir` calls it, with the prefix "data" and more parameters.
    pub fn place(&self, more: &str) -> String {
        format!(
            "s3://{}/data?endpoint=http://{}&allow-http=yes&region=us-east-1&part-mb=5&credentials={CREDENTIALS}&{more}",
            self.name,
            self.proxy.address()
        )
    }

    /// A request past the proxy to an object of the prefix, with the body of its answer.
    #[track_caller]
    pub fn direct(&self, method: &str, object: &str, body: &[u8]) -> Vec<u8> {
        let path = format!("/{}/data/{object}", self.name);
        let (status, answer) = moto::request(moto::address().expect("it was there"), method, &path, body);
        assert!(status < 300, "{method} {path}: {status}");
        answer
    }

    /// The store's own list of a kind of thing in the bucket ("list-type=2", "uploads"), as XML.
    pub fn listed(&self, query: &str) -> String {
        let path = format!("/{}?{query}", self.name);
        let (_, body) = moto::request(moto::address().expect("it was there"), "GET", &path, b"");
        String::from_utf8(body).expect("XML is text")
    }

    /// The names of the objects below the prefix.
    pub fn objects(&self) -> Vec<String> {
        let listed = self.listed("list-type=2");
        let keys = listed.split("<Key>data/").skip(1);
        keys.map(|key| key.split("</Key>").next().unwrap_or_default().to_owned()).collect()
    }
}

/// What every test store takes.
pub const CREDENTIALS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/stores/credentials");

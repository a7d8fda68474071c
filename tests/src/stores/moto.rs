//! A server of S3's protocol, one for all tests of this binary; each test has a bucket of its own.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::program::{clients_dir, skipped};
use crate::stores::child::listening;

/// Where the server listens; `None` if it is not installed, which is said.
pub fn address() -> Option<&'static str> {
    static ADDRESS: OnceLock<Option<String>> = OnceLock::new();
    ADDRESS.get_or_init(start).as_deref()
}

fn start() -> Option<String> {
    run(&format!("{PROGRAM}main(['-H', '127.0.0.1', '-p', '0'])"), "Running on http://")
}

/// A server of its own that speaks TLS, with its certificate for 127.0.0.1 in `certificate`; where it listens.
pub fn encrypted(certificate: &Path) -> Option<String> {
    let make = CERTIFICATE.replace("CERT", &certificate.display().to_string());
    let options = "['-H', '127.0.0.1', '-p', '0', '-s', '-c', cert, '-k', key]";
    run(&format!("{PROGRAM}{make}main({options})"), "Running on https://")
}

/// Runs a program of the packages until it says where it listens; it ends with this process.
fn run(program: &str, says: &str) -> Option<String> {
    let packages = clients_dir().join("moto");
    if !packages.join("moto").is_dir() {
        skipped(&format!("{} is not there; .ci/run installs it", packages.join("moto").display()));
        return None;
    }
    let mut command = Command::new("python3");
    listening(command.args(["-c", program]).env("PYTHONPATH", &packages), says)
}

/// A bucket that nobody else uses.
pub fn bucket() -> Option<String> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let name = format!("bucket-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    assert_eq!(request(address()?, "PUT", &format!("/{name}"), b"").0, 200, "a bucket is made");
    Some(name)
}

/// What the server says to a request: status and body.
pub fn request(address: &str, method: &str, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let mut stream = TcpStream::connect(address).expect("moto listens");
    stream.set_read_timeout(Some(ANSWER_MAX)).expect("a timeout can be set");
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: {SIGNED}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(&[head.as_bytes(), body].concat()).expect("moto reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("moto answers");
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer has a head");
    let status = String::from_utf8_lossy(&answer[9..12]).parse().expect("an answer has a status");
    (status, answer.split_off(end + 4))
}

/// Nobody looks whether it is right.
const SIGNED: &str = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, \
                      Signature=0";

const PROGRAM: &str = "
import os, sys, threading
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
from moto.server import main
";

const CERTIFICATE: &str = "
import datetime, ipaddress
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
cert, key = 'CERT', 'CERT.key'
own = ec.generate_private_key(ec.SECP256R1())
name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, '127.0.0.1')])
day = datetime.timedelta(days=1)
now = datetime.datetime.now(datetime.timezone.utc)
made = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(own.public_key())
        .serial_number(1).not_valid_before(now - day).not_valid_after(now + day)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address('127.0.0.1'))]), False)
        .sign(own, hashes.SHA256()))
open(cert, 'wb').write(made.public_bytes(serialization.Encoding.PEM))
open(key, 'wb').write(own.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                        serialization.NoEncryption()))
";

const ANSWER_MAX: Duration = Duration::from_secs(60);

//! A store that speaks TLS, with a certificate of its own.

use lacewing_tests::stores::{CREDENTIALS, moto};

use crate::node::{self, Node, loads, refused};

#[test]
fn a_store_is_believed_whose_certificate_was_given() {
    let scratch = tempfile::tempdir().unwrap();
    let certificate = scratch.path().join("ca.pem");
    let Some(address) = moto::encrypted(&certificate) else { return };
    let place =
        format!("s3://secrets?endpoint=https://{address}&region=us-east-1&retry=1&credentials={CREDENTIALS}");

    let text = refused(node::open(&place), 107);
    assert!(text.contains("no connection") && text.contains("certificate"), "{text}");

    let trusted = format!("{place}&ca={}", certificate.display());
    let text = refused(node::open(&trusted), 105);
    assert!(text.contains("NoSuchBucket"), "{text}");
    // The bucket is made past the package: it never makes one.
    let put = std::process::Command::new("python3")
        .args(["-c", MAKE_BUCKET, &address])
        .output()
        .expect("python3 was there");
    assert!(put.status.success(), "{}", String::from_utf8_lossy(&put.stderr));
    let manifest = Node::begin(node::open(&trusted), 1).save(&[b"a"]).unwrap();
    assert_eq!(loads(node::open(&trusted)).set, Some(manifest));
}

const MAKE_BUCKET: &str = "
import http.client, ssl, sys
connection = http.client.HTTPSConnection(sys.argv[1], context=ssl._create_unverified_context())
connection.request('PUT', '/secrets', headers={'Authorization': 'AWS4-HMAC-SHA256 \
Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0', 'Content-Length': '0'})
assert connection.getresponse().status == 200
";

//! A server of Azure's protocol (azurite, from npm), one for all tests of this binary.

use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::program::{clients_dir, skipped};
use crate::stores::child::listening;

/// Its address with the account: `http://127.0.0.1:40123/devstoreaccount1`; `None` if it is not installed, which is said.
pub fn address() -> Option<&'static str> {
    static ADDRESS: OnceLock<Option<String>> = OnceLock::new();
    ADDRESS.get_or_init(start).as_deref()
}

fn start() -> Option<String> {
    let program = clients_dir().join("node_modules/azurite/dist/src/blob/main.js");
    if !program.is_file() {
        skipped(&format!("{} is not there; .ci/run installs it", program.display()));
        return None;
    }
    let mut command = Command::new("node");
    command.args(["-e", ENDS_WITH_ITS_PARENT]).arg(program).args([
        "--blobHost",
        "127.0.0.1",
        "--blobPort",
        "0",
    ]);
    command.args(["--inMemoryPersistence", "--silent", "--disableTelemetry", "--skipApiVersionCheck"]);
    let address = listening(&mut command, "successfully listens on ")?;
    Some(format!("{address}/{ACCOUNT}"))
}

/// A container that nobody else uses.
pub fn container() -> Option<String> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let name = format!("container-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let made = Command::new("python3").args(["-c", MAKE_CONTAINER, address()?, &name, KEY]).output();
    let made = made.expect("python3 is there");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Some(name)
}

/// The account that every such server has, as its documentation says.
pub const ACCOUNT: &str = "devstoreaccount1";
/// Its key, which is no secret either.
pub const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

const ENDS_WITH_ITS_PARENT: &str = "
process.argv.splice(1, 0, 'azurite');
process.stdin.on('end', () => process.exit(0)).resume();
require(process.argv[2]);
";

const MAKE_CONTAINER: &str = "
import base64, email.utils, hashlib, hmac, sys, urllib.parse, http.client
address, name, key = sys.argv[1:]
url = urllib.parse.urlparse(address)
account = url.path.strip('/')
date = email.utils.formatdate(usegmt=True)
headers = f'x-ms-date:{date}\\nx-ms-version:2021-12-02\\n'
text = 'PUT\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n' + headers + f'/{account}/{account}/{name}\\nrestype:container'
signature = base64.b64encode(hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256).digest()).decode()
connection = http.client.HTTPConnection(url.netloc)
connection.request('PUT', f'/{account}/{name}?restype=container', headers={'x-ms-date': date,
    'x-ms-version': '2021-12-02', 'Authorization': f'SharedKey {account}:{signature}', 'Content-Length': '0'})
answer = connection.getresponse()
assert answer.status == 201, (answer.status, answer.read())
";

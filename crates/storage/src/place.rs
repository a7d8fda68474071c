//! What an operator calls the place of snapshot sets: a path, or the URL of a bucket.
//!
//! ```text
//!  /var/backups/lacewing                     a directory that must be there
//!  dir:/var/backups/lacewing                 the same
//!  s3://bucket/prefix?region=eu-central-1    Amazon S3 and what speaks its protocol
//!  gs://bucket/prefix                        Google Cloud Storage
//!  az://container/prefix?account=name        Azure Blob Storage
//! ```
//!
//! Nothing secret stands in it, so it may be logged and shown.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Where sets are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A directory of the file system that holds sets and nothing else.
    Directory(PathBuf),
    /// A bucket, or a part of it.
    Bucket(BucketPlace),
}

/// A bucket, or the part of it below a prefix, and how to get there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketPlace {
    /// Whose protocol is spoken.
    pub provider: Provider,
    /// The bucket, or Azure's container.
    pub bucket: String,
    /// What stands before the names of all objects, without slashes at its ends; "" for nothing.
    pub prefix: String,
    /// Another address than the provider's own.
    pub endpoint: Option<String>,
    /// The region; without one that of the environment, or the provider's default.
    pub region: Option<String>,
    /// Azure's storage account; without one that of the environment.
    pub account: Option<String>,
    /// Whether the bucket is part of the path rather than of the host's name. S3 only.
    pub path_style: bool,
    /// Whether data and signatures may go over the network in the clear.
    pub allow_http: bool,
    /// A file with credentials; without one those of the environment, or of the machine.
    pub credentials: Option<PathBuf>,
    /// A file with certificates, in PEM, that are trusted besides the system's.
    pub ca: Option<PathBuf>,
    /// For how long a call is tried again while the store does not answer.
    pub retry: Duration,
    /// How long one request may take.
    pub timeout: Duration,
    /// Bytes of a part of a file that is uploaded in parts.
    pub part_bytes: usize,
    /// Whether what the store is too slow for waits in files, rather than its writer.
    pub spools: bool,
}

/// Who keeps the bucket, as far as protocols differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// Amazon S3, MinIO, Ceph and others of the protocol.
    S3,
    /// Google Cloud Storage.
    Google,
    /// Azure Blob Storage.
    Azure,
}

/// Why a text is no place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// Not one of the schemes.
    #[error("'{0}' is no place that is known: give a path, dir:, s3://, gs:// or az://")]
    Scheme(String),
    /// No bucket, or no directory.
    #[error("'{0}' names nothing")]
    Nameless(String),
    /// A parameter that is not known.
    #[error("'{0}' is no parameter of a place; there are {PARAMETERS}")]
    Parameter(String),
    /// A parameter that cannot have this value.
    #[error("'{name}' is '{value}', and must be {form}")]
    Value {
        /// The parameter.
        name: &'static str,
        /// What it was given.
        value: String,
        /// What it takes.
        form: &'static str,
    },
    /// Secrets would be logged and shown.
    #[error(
        "'{0}' is secret, and a place is logged and shown: put it into the environment, or into the file that \
         'credentials' names"
    )]
    Secret(String),
    /// The endpoint is `http`, and nobody said that it may be.
    #[error("the endpoint '{0}' is not encrypted; if that is meant, add 'allow-http=yes'")]
    InTheClear(String),
}

impl Place {
    /// The place that a text names.
    pub fn parse(text: &str) -> Result<Self, PlaceError> {
        if let Some(path) = text.strip_prefix("dir:") {
            return directory(path, text);
        }
        match text.split_once("://") {
            Some(("s3", rest)) => BucketPlace::parse(Provider::S3, rest, text).map(Self::Bucket),
            Some(("gs", rest)) => BucketPlace::parse(Provider::Google, rest, text).map(Self::Bucket),
            Some(("az", rest)) => BucketPlace::parse(Provider::Azure, rest, text).map(Self::Bucket),
            Some(_) => Err(PlaceError::Scheme(text.to_owned())),
            None => directory(text, text),
        }
    }
}

fn directory(path: &str, text: &str) -> Result<Place, PlaceError> {
    if path.is_empty() {
        Err(PlaceError::Nameless(text.to_owned()))
    } else {
        Ok(Place::Directory(path.into()))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => write!(f, "{}", path.display()),
            Self::Bucket(bucket) => write!(f, "{bucket}"),
        }
    }
}

impl fmt::Display for BucketPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.provider {
            Provider::S3 => "s3",
            Provider::Google => "gs",
            Provider::Azure => "az",
        };
        write!(f, "{scheme}://{}", self.bucket)?;
        if self.prefix.is_empty() { Ok(()) } else { write!(f, "/{}", self.prefix) }
    }
}

impl BucketPlace {
    fn parse(provider: Provider, rest: &str, text: &str) -> Result<Self, PlaceError> {
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
        if bucket.is_empty() {
            return Err(PlaceError::Nameless(text.to_owned()));
        }
        let mut place = Self {
            provider,
            bucket: bucket.to_owned(),
            prefix: prefix.trim_matches('/').to_owned(),
            endpoint: None,
            region: None,
            account: None,
            path_style: true,
            allow_http: false,
            credentials: None,
            ca: None,
            retry: RETRY,
            timeout: TIMEOUT,
            part_bytes: PART_MB * MB,
            spools: true,
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            place.set(name, decoded(value))?;
        }
        match &place.endpoint {
            Some(endpoint) if endpoint.starts_with("http://") && !place.allow_http => {
                Err(PlaceError::InTheClear(endpoint.clone()))
            }
            _ => Ok(place),
        }
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), PlaceError> {
        match name {
            "endpoint" => self.endpoint = Some(endpoint(value)?),
            "region" => self.region = Some(value),
            "account" => self.account = Some(value),
            "path-style" => self.path_style = yes("path-style", value)?,
            "allow-http" => self.allow_http = yes("allow-http", value)?,
            "spool" => self.spools = yes("spool", value)?,
            "credentials" => self.credentials = Some(value.into()),
            "ca" => self.ca = Some(value.into()),
            "retry" => {
                self.retry = Duration::from_secs(number("retry", value, 0, 3600, "0 to 3600 seconds")?);
            }
            "timeout" => {
                self.timeout = Duration::from_secs(number("timeout", value, 1, 600, "1 to 600 seconds")?);
            }
            "part-mb" => {
                self.part_bytes = number("part-mb", value, 5, 512, "5 to 512")? as usize * MB;
            }
            secret
                if ["secret", "key", "token", "password", "sas"].iter().any(|word| secret.contains(word)) =>
            {
                return Err(PlaceError::Secret(name.to_owned()));
            }
            _ => return Err(PlaceError::Parameter(name.to_owned())),
        }
        Ok(())
    }
}

fn endpoint(value: String) -> Result<String, PlaceError> {
    if value.starts_with("http://") || value.starts_with("https://") {
        Ok(value.trim_end_matches('/').to_owned())
    } else {
        Err(PlaceError::Value {
            name: "endpoint",
            value,
            form: "an address that begins with https:// or http://",
        })
    }
}

fn yes(name: &'static str, value: String) -> Result<bool, PlaceError> {
    match value.as_str() {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(PlaceError::Value { name, value, form: "yes or no" }),
    }
}

fn number(
    name: &'static str,
    value: String,
    least: u64,
    most: u64,
    form: &'static str,
) -> Result<u64, PlaceError> {
    match value.parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(PlaceError::Value { name, value, form }),
    }
}

/// With `%` and two hexadecimal digits for a byte; whatever is not of this form stays as it is.
fn decoded(value: &str) -> String {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        let digits = behind.get(..2).filter(|_| byte == b'%').and_then(|digits| str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(escaped) => {
                out.push(escaped);
                rest = &behind[2..];
            }
            None => {
                out.push(byte);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

const PARAMETERS: &str =
    "endpoint, region, account, path-style, allow-http, credentials, ca, retry, timeout, part-mb and spool";

const MB: usize = 1 << 20;
/// S3 takes 10,000 parts, so a file has at most 78 GB with parts of this size. Two are in memory for each file.
const PART_MB: usize = 8;
const RETRY: Duration = Duration::from_secs(60);
const TIMEOUT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(text: &str) -> BucketPlace {
        match Place::parse(text) {
            Ok(Place::Bucket(bucket)) => bucket,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn paths_are_directories() {
        for text in ["/var/backups", "dir:/var/backups"] {
            assert_eq!(Place::parse(text), Ok(Place::Directory("/var/backups".into())), "{text}");
        }
        assert_eq!(Place::parse("a b:c"), Ok(Place::Directory("a b:c".into())));
    }

    #[test]
    fn urls_are_buckets_and_are_shown_without_their_parameters() {
        let place =
            bucket("s3://data/lacewing/eu/?endpoint=http://127.0.0.1:9000/&allow-http=yes&region=x&retry=5");
        assert_eq!(place.to_string(), "s3://data/lacewing/eu");
        assert_eq!(place.endpoint.as_deref(), Some("http://127.0.0.1:9000"));
        assert_eq!((place.region.as_deref(), place.retry), (Some("x"), Duration::from_secs(5)));
        assert!(place.path_style && place.allow_http);
        assert_eq!((bucket("gs://b").provider, bucket("gs://b").prefix.as_str()), (Provider::Google, ""));
        let azure = bucket("az://c/p?account=me&credentials=/a%20b&path-style=no&part-mb=16&timeout=7&ca=/c");
        assert_eq!(azure.credentials, Some("/a b".into()));
        assert_eq!((azure.account.as_deref(), azure.path_style), (Some("me"), false));
        assert_eq!((azure.part_bytes, azure.timeout), (16 << 20, Duration::from_secs(7)));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let check = |text, message: &str| {
            let error = Place::parse(text).unwrap_err().to_string();
            assert!(error.contains(message), "{text}: {error}");
        };
        check("", "names nothing");
        check("s3://", "names nothing");
        check("ftp://host/x", "is no place");
        check("s3://b?endpoint=http://x", "add 'allow-http=yes'");
        check("s3://b?endpoint=x", "begins with https://");
        check("s3://b?regoin=x", "'regoin' is no parameter");
        check("s3://b?retry=long", "0 to 3600 seconds");
        check("s3://b?allow-http=1", "yes or no");
        check("s3://b?secret-access-key=x", "is secret");
        check("az://b?sas-token=x", "is secret");
    }
}

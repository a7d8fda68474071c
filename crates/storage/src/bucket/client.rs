//! The package's clients, made from a place.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::multipart::MultipartStore;
use object_store::{BackoffConfig, Certificate, ClientOptions, ObjectStore, RetryConfig};

use crate::bucket::credentials::{content, pairs, read};
use crate::place::{BucketPlace, Provider};

/// Why there is no bucket to talk to. Nothing was sent yet.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file that the place names cannot be read.
    #[error("cannot read {path}: {source}")]
    File {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A file that the place names has something else in it than it should.
    #[error("{path} {what}")]
    Content {
        /// The file.
        path: String,
        /// What is wrong.
        what: String,
    },
    /// A setting of the place or of the environment, or what is missing there.
    #[error("{0}")]
    Setting(String),
    /// The thread cannot be started.
    #[error("cannot start the thread of the object store: {0}")]
    Thread(io::Error),
}

/// Both sides of one client.
pub(super) struct Client {
    pub(super) objects: Arc<dyn ObjectStore>,
    pub(super) parts: Arc<dyn MultipartStore>,
}

impl Client {
    fn new<S: ObjectStore + MultipartStore>(store: object_store::Result<S>) -> Result<Self, OpenError> {
        let store = Arc::new(store.map_err(setting)?);
        Ok(Self { objects: Arc::clone(&store) as Arc<dyn ObjectStore>, parts: store })
    }
}

/// A client for `place`. Settings of the place win over those of its file, and those over the environment's.
pub(super) fn build(place: &BucketPlace) -> Result<Client, OpenError> {
    // An error says that there is one already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match place.provider {
        Provider::S3 => s3(place),
        Provider::Google => google(place),
        Provider::Azure => azure(place),
    }
}

fn s3(place: &BucketPlace) -> Result<Client, OpenError> {
    let mut builder = AmazonS3Builder::from_env();
    for (key, value) in pairs(place)? {
        builder = builder.with_config(known(&key, place)?, value);
    }
    builder = builder
        .with_bucket_name(&place.bucket)
        .with_virtual_hosted_style_request(!place.path_style)
        .with_allow_http(place.allow_http)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        // One request for each object: not every store of the protocol has the other way.
        .with_disable_bulk_delete(true)
        .with_retry(no_retry())
        .with_client_options(options(place)?);
    if let Some(endpoint) = &place.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(region) = &place.region {
        builder = builder.with_region(region);
    }
    Client::new(builder.build())
}

fn google(place: &BucketPlace) -> Result<Client, OpenError> {
    let mut builder = GoogleCloudStorageBuilder::from_env();
    if let Some(file) = &place.credentials {
        read(file)?;
        builder = builder.with_service_account_path(file.display().to_string());
    }
    if let Some(endpoint) = &place.endpoint {
        builder = builder.with_base_url(endpoint);
    }
    let options = options(place)?.with_allow_http(place.allow_http);
    Client::new(
        builder.with_bucket_name(&place.bucket).with_retry(no_retry()).with_client_options(options).build(),
    )
}

fn azure(place: &BucketPlace) -> Result<Client, OpenError> {
    let mut builder = MicrosoftAzureBuilder::from_env();
    for (key, value) in pairs(place)? {
        builder = builder.with_config(known(&key, place)?, value);
    }
    if let Some(account) = &place.account {
        builder = builder.with_account(account);
    }
    if let Some(endpoint) = &place.endpoint {
        builder = builder.with_endpoint(endpoint.clone());
    }
    let builder = builder.with_container_name(&place.bucket).with_retry(no_retry());
    let options = options(place)?.with_allow_http(place.allow_http);
    Client::new(builder.with_client_options(options).with_allow_http(place.allow_http).build())
}

fn options(place: &BucketPlace) -> Result<ClientOptions, OpenError> {
    let mut options = ClientOptions::new()
        .with_timeout(place.timeout)
        .with_connect_timeout(place.timeout.min(CONNECT_MAX))
        .with_allow_http(place.allow_http);
    if let Some(file) = &place.ca {
        let bundle =
            Certificate::from_pem_bundle(&read(file)?).map_err(|error| content(file, error.to_string()))?;
        if bundle.is_empty() {
            return Err(content(file, "has no certificate in it".to_owned()));
        }
        options = bundle.into_iter().fold(options, ClientOptions::with_root_certificate);
    }
    Ok(options)
}

/// Trying again is done here, so that every call has one bound and one message.
fn no_retry() -> RetryConfig {
    RetryConfig { backoff: BackoffConfig::default(), max_retries: 0, retry_timeout: Duration::ZERO }
}

fn known<K: std::str::FromStr>(key: &str, place: &BucketPlace) -> Result<K, OpenError> {
    let file = place.credentials.as_deref().unwrap_or(Path::new("the file of credentials"));
    key.parse().map_err(|_| content(file, format!("has the setting '{key}', which is not known")))
}

fn setting(error: object_store::Error) -> OpenError {
    OpenError::Setting(error.to_string())
}

/// The most that a connection may take to be made.
const CONNECT_MAX: Duration = Duration::from_secs(5);

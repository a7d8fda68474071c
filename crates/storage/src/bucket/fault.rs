//! What the package's errors mean.

use std::error::Error;
use std::time::Duration;

use durable::store::{StoreFault, StoreTrouble};
use object_store::client::{HttpError, HttpErrorKind};

/// What went wrong, and whether it may pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) trouble: StoreTrouble,
    /// Whether trying again may help.
    pub(super) is_passing: bool,
    pub(super) said: String,
}

impl Fault {
    /// No answer in time.
    pub(super) fn late(timeout: Duration) -> Self {
        let said = format!("no answer within {} s", timeout.as_secs());
        Self { trouble: StoreTrouble::Unreachable, is_passing: true, said }
    }

    /// For those who asked, once it is not tried any more.
    pub(super) fn told(self, attempts: u32, within: Duration) -> StoreFault {
        let said = match attempts {
            1 => self.said,
            _ => format!("{} (tried {attempts} times in {} s)", self.said, within.as_secs()),
        };
        StoreFault { trouble: self.trouble, said }
    }
}

/// What an error of the package means.
pub(super) fn of(error: &object_store::Error) -> Fault {
    let text = error.to_string();
    if let Some(network) = find::<HttpError>(error) {
        return of_network(network, &text);
    }
    let answer = answer_in(&text);
    let has = |codes: &[&str]| codes.iter().any(|code| text.contains(code));
    let trouble = match error {
        _ if has(&NO_BUCKET) => StoreTrouble::NoBucket,
        _ if has(&EXPIRED) => StoreTrouble::Forbidden,
        object_store::Error::NotFound { .. } => StoreTrouble::NoObject,
        object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. } => {
            StoreTrouble::Exists
        }
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            StoreTrouble::Forbidden
        }
        // Lists tell what happened in their texts alone.
        _ => match status_in(&text) {
            Some(404) => StoreTrouble::NoObject,
            Some(401 | 403) => StoreTrouble::Forbidden,
            Some(408 | 429 | 500..=599) => StoreTrouble::Unreachable,
            _ => StoreTrouble::Unusable,
        },
    };
    Fault { trouble, is_passing: trouble == StoreTrouble::Unreachable, said: answer }
}

fn of_network(error: &HttpError, text: &str) -> Fault {
    // Without any other credentials the package asks the machine's metadata service, which most machines do not have.
    if METADATA.iter().any(|sign| text.contains(sign)) {
        let said = format!(
            "no credentials: there are none in the environment and no file of them, and the machine's metadata service \
             does not answer ({})",
            innermost(error)
        );
        return Fault { trouble: StoreTrouble::Forbidden, is_passing: true, said };
    }
    let (trouble, said) = match error.kind() {
        HttpErrorKind::Connect => (StoreTrouble::Unreachable, format!("no connection: {}", innermost(error))),
        HttpErrorKind::Timeout => (StoreTrouble::Unreachable, "no answer in time".to_owned()),
        HttpErrorKind::Decode => {
            (StoreTrouble::Unusable, format!("no sense in the answer: {}", innermost(error)))
        }
        _ => (StoreTrouble::Unreachable, format!("the connection broke: {}", innermost(error))),
    };
    Fault { trouble, is_passing: trouble == StoreTrouble::Unreachable, said }
}

/// The cause of all the others, which says most.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The status of the answer, which the package gives away in its texts alone.
fn status_in(text: &str) -> Option<u16> {
    let (_, behind) = text.split_once("status code: ")?;
    behind.get(..3)?.parse().ok()
}

/// What the store said: status, code and message, if it was one of the usual answers; else the package's text.
fn answer_in(text: &str) -> String {
    let Some(status) = status_in(text) else { return text.to_owned() };
    let part = |begin: &str, end: &str| {
        let (_, behind) = text.split_once(begin)?;
        behind.split_once(end).map(|(part, _)| part)
    };
    match (part("<Code>", "</Code>"), part("<Message>", "</Message>")) {
        (Some(code), Some(message)) => format!("answer {status} {code}: {message}"),
        (Some(code), None) => format!("answer {status} {code}"),
        _ => format!("answer {status}"),
    }
}

/// S3's and Azure's codes for it.
const NO_BUCKET: [&str; 2] = ["NoSuchBucket", "ContainerNotFound"];
/// Credentials that were good once: S3 answers with 400.
const EXPIRED: [&str; 2] = ["ExpiredToken", "InvalidToken"];
const METADATA: [&str; 3] = ["169.254.", "metadata.google", "instance metadata"];

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(text: &str) -> object_store::Error {
        object_store::Error::Generic { store: "S3", source: text.into() }
    }

    fn missing(text: &str) -> object_store::Error {
        object_store::Error::NotFound { path: "x".to_owned(), source: text.into() }
    }

    #[test]
    fn answers_are_told_apart() {
        let check = |error: object_store::Error, trouble, is_passing, said: &str| {
            let fault = of(&error);
            assert_eq!((fault.trouble, fault.is_passing), (trouble, is_passing), "{error}");
            assert_eq!(fault.said, said);
        };
        let status = "Server returned non-2xx status code: ";
        let busy = format!(
            "{status}503 Service Unavailable: <Error><Code>SlowDown</Code><Message>Slower!</Message>"
        );
        check(generic(&busy), StoreTrouble::Unreachable, true, "answer 503 SlowDown: Slower!");
        check(generic(&format!("{status}429 Too Many")), StoreTrouble::Unreachable, true, "answer 429");
        let expired = format!("{status}400 Bad Request: <Code>ExpiredToken</Code>");
        check(generic(&expired), StoreTrouble::Forbidden, false, "answer 400 ExpiredToken");
        check(generic(&format!("{status}400 Bad Request: ")), StoreTrouble::Unusable, false, "answer 400");
        let bucket = format!("{status}404 Not Found: <Code>NoSuchBucket</Code>");
        check(generic(&bucket), StoreTrouble::NoBucket, false, "answer 404 NoSuchBucket");
        check(generic(&format!("{status}403 Forbidden: ")), StoreTrouble::Forbidden, false, "answer 403");
        check(missing(&bucket), StoreTrouble::NoBucket, false, "answer 404 NoSuchBucket");
        check(missing(&format!("{status}404 Not Found: ")), StoreTrouble::NoObject, false, "answer 404");
    }
}

//! The file of credentials: lines of a name, `=` and a value, in sections of a name, as Amazon's tools have it.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::bucket::client::OpenError;
use crate::place::{BucketPlace, Provider};

/// Names and values.
pub(super) type Pairs = Vec<(String, String)>;

/// The settings in the file that the place names, or, for S3, in the user's own, if nothing else says who this is.
pub(super) fn pairs(place: &BucketPlace) -> Result<Pairs, OpenError> {
    let profile = env::var("AWS_PROFILE").ok();
    if let Some(file) = &place.credentials {
        return section(file, &text(file)?, profile.as_deref());
    }
    match users_own().filter(|_| place.provider == Provider::S3 && !has_others()) {
        Some(file) => {
            let pairs = section(&file, &text(&file)?, profile.as_deref().or(Some("default")))?;
            Ok(pairs.into_iter().filter(|(name, _)| IN_USERS_OWN.contains(&name.as_str())).collect())
        }
        None => Ok(Pairs::new()),
    }
}

/// Amazon's tools keep it there. One that was named must be there.
fn users_own() -> Option<PathBuf> {
    let named = env::var_os("AWS_SHARED_CREDENTIALS_FILE").map(PathBuf::from);
    named.or_else(|| Some(env::home_dir()?.join(".aws/credentials")).filter(|path| path.exists()))
}

/// Whether the environment says who this is.
fn has_others() -> bool {
    IN_ENVIRONMENT.iter().any(|name| env::var_os(name).is_some())
}

/// The lines of the section `wanted`, or of the only one; and those before any.
fn section(file: &Path, text: &str, wanted: Option<&str>) -> Result<Pairs, OpenError> {
    parse(text, wanted).map_err(|what| content(file, what))
}

fn parse(text: &str, wanted: Option<&str>) -> Result<Pairs, String> {
    let mut sections: Vec<(&str, Pairs)> = vec![("", Pairs::new())];
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            sections.push((name.trim(), Pairs::new()));
            continue;
        }
        // Not the line itself: it may be a secret.
        let (key, value) = line.split_once('=').ok_or("has a line that is not of the form 'name = value'")?;
        let (_, pairs) = sections.last_mut().expect("there is one");
        pairs.push((key.trim().to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut sections = sections.into_iter();
    let (_, mut pairs) = sections.next().expect("there is one");
    let mut named: Vec<_> = sections.collect();
    let index = match wanted {
        _ if named.is_empty() => return Ok(pairs),
        None if named.len() == 1 => Some(0),
        wanted => named.iter().position(|(name, _)| *name == wanted.unwrap_or("default")),
    };
    let Some(index) = index else {
        return Err(format!("has no section [{}]", wanted.unwrap_or("default")));
    };
    pairs.append(&mut named[index].1);
    Ok(pairs)
}

fn text(file: &Path) -> Result<String, OpenError> {
    String::from_utf8(read(file)?).map_err(|_| content(file, "is not text".to_owned()))
}

/// All of a file.
pub(super) fn read(file: &Path) -> Result<Vec<u8>, OpenError> {
    fs::read(file).map_err(|source: io::Error| OpenError::File { path: file.display().to_string(), source })
}

/// That a file has something else in it than it should.
pub(super) fn content(file: &Path, what: String) -> OpenError {
    OpenError::Content { path: file.display().to_string(), what }
}

/// What is taken from the user's own file, in which there may be more for other programs.
const IN_USERS_OWN: [&str; 4] = ["aws_access_key_id", "aws_secret_access_key", "aws_session_token", "region"];
/// With any of these it is not looked at.
const IN_ENVIRONMENT: [&str; 5] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_section_is_taken() {
        let check = |text, wanted, want: Result<&[(&str, &str)], &str>| {
            let got = parse(text, wanted);
            let want = want.map(|pairs| pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect());
            assert_eq!(got, want.map_err(str::to_owned), "{text}");
        };
        check("", None, Ok(&[]));
        check("# x\nA_key = b=c \n", None, Ok(&[("a_key", "b=c")]));
        check("a=1\n[one]\nb=2", None, Ok(&[("a", "1"), ("b", "2")]));
        check("[one]\nb=2\n[default]\nb=3\n", None, Ok(&[("b", "3")]));
        check("[one]\nb=2\n[default]\nb=3\n", Some("one"), Ok(&[("b", "2")]));
        check("[one]\nb=2\n[two]\nb=3\n", None, Err("has no section [default]"));
        check("[one]\nb=2", Some("two"), Err("has no section [two]"));
        check("secret", None, Err("has a line that is not of the form 'name = value'"));
    }
}

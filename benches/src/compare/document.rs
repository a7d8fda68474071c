//! Puts generated text into a document, between the two marker lines of a section.

use anyhow::{Context, Result, bail};

/// The line that starts the generated part of a section; the section without a name has markers without one.
pub fn begin(section: &str) -> String {
    marker(section, "begin")
}

/// The line that ends it.
pub fn end(section: &str) -> String {
    marker(section, "end")
}

/// `document` with what stands between the markers of `section` replaced by `text`. Errors: a marker is missing, twice
/// there, or before its partner.
pub fn replace_section(document: &str, section: &str, text: &str) -> Result<String> {
    let place = |marker: &str| -> Result<usize> {
        if document.matches(marker).count() > 1 {
            bail!("the document has the marker '{marker}' more than once");
        }
        document.find(marker).with_context(|| format!("the document has no marker '{marker}'"))
    };
    let (begin, end) = (begin(section), end(section));
    let (begin, end) = (place(&begin)? + begin.len(), place(&end)?);
    if end < begin {
        bail!("the document's markers are in the wrong order");
    }
    Ok(format!("{}\n\n{}\n\n{}", &document[..begin], text.trim(), &document[end..]))
}

fn marker(section: &str, side: &str) -> String {
    let colon = if section.is_empty() { "" } else { ":" };
    format!("<!-- compare:{section}{colon}{side} -->")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_replaced_and_the_rest_stays() {
        let part = |section, text| format!("{}\n{text}\n{}\n\n", begin(section), end(section));
        let document = format!("# Title\n\n{}between\n{}after\n", part("a", "old"), part("", "\nold\n"));
        let once = replace_section(&document, "a", "new\n").unwrap();
        let expected = format!("# Title\n\n{}between\n{}after\n", part("a", "\nnew\n"), part("", "\nold\n"));
        assert_eq!(once, expected);
        assert_eq!(replace_section(&once, "a", "new").unwrap(), once);
        assert_eq!(replace_section(&once, "", "old").unwrap(), once);
    }

    #[test]
    fn documents_without_their_markers_are_refused() {
        let (begin, end) = (begin("a"), end("a"));
        for bad in [String::new(), begin.clone(), format!("{end}{begin}"), format!("{begin}{begin}{end}")] {
            assert!(replace_section(&bad, "a", "x").is_err(), "{bad:?}");
        }
        assert!(replace_section(&(begin + &end), "b", "x").is_err());
    }
}

//! Puts generated text into a document, between two marker lines.

use anyhow::{Context, Result, bail};

/// Starts the generated part, on a line of its own.
pub const BEGIN: &str = "<!-- compare:begin -->";
/// Ends it.
pub const END: &str = "<!-- compare:end -->";

/// `document` with what stands between the markers replaced by `section`. Errors: a marker is missing, twice there, or
/// before its partner.
pub fn replace_section(document: &str, section: &str) -> Result<String> {
    let place = |marker: &str| -> Result<usize> {
        if document.matches(marker).count() > 1 {
            bail!("the document has the marker '{marker}' more than once");
        }
        document.find(marker).with_context(|| format!("the document has no marker '{marker}'"))
    };
    let (begin, end) = (place(BEGIN)? + BEGIN.len(), place(END)?);
    if end < begin {
        bail!("the document's markers are in the wrong order");
    }
    Ok(format!("{}\n\n{}\n\n{}", &document[..begin], section.trim(), &document[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_section_is_replaced_and_the_rest_stays() {
        let document = format!("# Title\n\n{BEGIN}\nold\n{END}\n\nafter\n");
        let once = replace_section(&document, "new\n").unwrap();
        assert_eq!(once, format!("# Title\n\n{BEGIN}\n\nnew\n\n{END}\n\nafter\n"));
        assert_eq!(replace_section(&once, "new").unwrap(), once);
    }

    #[test]
    fn documents_without_their_markers_are_refused() {
        for bad in [String::new(), BEGIN.to_owned(), format!("{END}{BEGIN}"), format!("{BEGIN}{BEGIN}{END}")]
        {
            assert!(replace_section(&bad, "x").is_err(), "{bad:?}");
        }
    }
}

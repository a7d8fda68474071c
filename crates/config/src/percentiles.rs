//! `latency-tracking-info-percentiles`: which percentiles INFO latencystats shows.

/// At most so many percentiles; each is a line part of every command's INFO entry.
pub const PERCENTILES_MAX: usize = 32;

/// Percentiles between 0 and 100, in the order that they are shown.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Percentiles(Vec<f64>);

impl Percentiles {
    /// The percentiles, each 0.0 to 100.0.
    pub fn as_slice(&self) -> &[f64] {
        &self.0
    }

    /// Reads one percentile per word. None, or one empty word, means none.
    pub(crate) fn parse(words: &[&str]) -> Result<Self, String> {
        if matches!(words, [] | [""]) {
            return Ok(Self::default());
        }
        if words.len() > PERCENTILES_MAX {
            return Err(format!("at most {PERCENTILES_MAX} percentiles"));
        }
        words.iter().map(|word| parse_one(word)).collect::<Result<_, _>>().map(Self)
    }
}

impl std::fmt::Display for Percentiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let texts: Vec<String> = self.0.iter().map(f64::to_string).collect();
        f.write_str(&texts.join(" "))
    }
}

fn parse_one(word: &str) -> Result<f64, String> {
    let number: f64 = word.parse().map_err(|_| format!("Invalid {NAME} parameters"))?;
    // A NaN is in no range, so it is refused here too.
    if !(0.0..=100.0).contains(&number) {
        return Err(format!("{NAME} parameters should sit between [0.0,100.0]"));
    }
    Ok(number)
}

const NAME: &str = "latency-tracking-info-percentiles";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_read_and_printed() {
        let check = |words: &[&str], expected: Result<&str, &str>| {
            let got = Percentiles::parse(words).map(|percentiles| percentiles.to_string());
            assert_eq!(got.as_deref().map_err(String::as_str), expected, "{words:?}");
        };
        let invalid = "Invalid latency-tracking-info-percentiles parameters";
        let outside = "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]";
        check(&[], Ok(""));
        check(&[""], Ok(""));
        check(&["50", "99", "99.9"], Ok("50 99 99.9"));
        check(&["0.001", "100", "33.3333"], Ok("0.001 100 33.3333"));
        check(&["50", "abc"], Err(invalid));
        check(&["50", "", "99.9"], Err(invalid));
        check(&["101"], Err(outside));
        check(&["-1"], Err(outside));
        check(&["nan"], Err(outside));
        check(&["50"; 33], Err("at most 32 percentiles"));
    }
}

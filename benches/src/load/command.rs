//! The commands of a load: a mix of weighted templates, compiled to byte segments so that writing one into an output
//! buffer is a few copies.

use anyhow::{Context, Result, bail};

use super::keys::{KeyNames, Picker, write_digits};
use super::value::{TEXT_BYTES_MAX, Values};
use stdx::rng::Rng;

/// What a template's place holders stand for.
#[derive(Clone, Debug)]
enum Segment {
    /// Bytes as they are.
    Bytes(Vec<u8>),
    /// A key's name.
    Key,
    /// The name of the key that was drawn last.
    Same,
    /// A counter's name: a key that holds a number.
    Counter,
    /// A value with its bulk header and its end, since its length may vary.
    Value,
    /// A random number below the count of keys, in [`RANDOM_DIGITS`] digits.
    Random,
    /// A random number below `bound`, in as many digits as the largest of them has.
    Below { bound: u64, digits: usize },
    /// So many random letters.
    Text(usize),
}

/// Whose values the reply carries; `--verify` checks these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reads {
    Nothing,
    /// One bulk string per key, in an array when there is more than one key or the command answers in one.
    Values,
}

/// One template.
#[derive(Clone, Debug)]
struct Command {
    segments: Vec<Segment>,
    reads: Reads,
}

/// A weighted mix of commands.
#[derive(Clone, Debug)]
pub struct Mix {
    commands: Vec<Command>,
    /// Whether they are sent one after the other, and not drawn.
    in_turn: bool,
    /// Running sums of the weights; the last is the total.
    bounds: Vec<u64>,
}

impl Mix {
    /// Reads `mix` (`set=1,get=9`, `mset:10`; weight 1 where none is given) and the free `templates`
    /// (`ZADD z __rand__ __key__`), each of weight 1. `sizes` are the lengths of key and counter names.
    /// Errors: an unknown name, a bad number, an empty template.
    pub fn new(mix: &str, templates: &[String], sizes: NameSizes) -> Result<Self> {
        let mut built = Self { commands: Vec::new(), in_turn: false, bounds: Vec::new() };
        for item in mix.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let (name, weight) = item.split_once('=').unwrap_or((item, "1"));
            let weight = weight.parse().with_context(|| format!("bad weight in '{item}'"))?;
            let (words, reads) = named(name)?;
            built.push(&words, reads, weight, sizes)?;
        }
        for template in templates {
            let words = shlex::split(template).with_context(|| format!("unclosed quote in '{template}'"))?;
            built.push(&words, Reads::Nothing, 1, sizes)?;
        }
        if built.bounds.last().is_none_or(|total| *total == 0) {
            bail!("no commands to send: the mix is empty");
        }
        Ok(built)
    }

    /// Has the commands sent one after the other, from the first again after the last.
    pub fn in_turn(self) -> Self {
        Self { in_turn: true, ..self }
    }

    fn push(&mut self, words: &[String], reads: Reads, weight: u64, sizes: NameSizes) -> Result<()> {
        if words.is_empty() {
            bail!("an empty command template");
        }
        self.commands.push(Command { segments: compile(words, sizes)?, reads });
        self.bounds.push(self.bounds.last().unwrap_or(&0) + weight);
        Ok(())
    }
}

/// Lengths in bytes of the names that templates carry.
#[derive(Clone, Copy, Debug)]
pub struct NameSizes {
    /// Of a key.
    pub key: usize,
    /// Of a counter.
    pub counter: usize,
}

/// Writes the commands of one thread.
#[derive(Debug)]
pub struct Writer {
    mix: Mix,
    picker: Picker,
    keys: KeyNames,
    counters: KeyNames,
    count: u64,
    values: Values,
    random: Rng,
    /// The key drawn last.
    key: u64,
    /// How many commands were written.
    written: usize,
}

impl Writer {
    /// Commands of `mix` over keys that `picker` draws from `count`.
    pub fn new(
        mix: Mix,
        picker: Picker,
        count: u64,
        names: [KeyNames; 2],
        values: Values,
        seed: u64,
    ) -> Self {
        let [keys, counters] = names;
        Self { mix, picker, keys, counters, count, values, random: Rng::new(seed), key: 0, written: 0 }
    }

    /// The names of keys.
    pub fn keys(&self) -> &KeyNames {
        &self.keys
    }

    /// Appends the next command to `out`. When the values of keys will come back, their numbers go to `read`.
    #[inline]
    pub fn write(&mut self, out: &mut Vec<u8>, mut read: Option<&mut Vec<u64>>) {
        let Self { mix, picker, keys, counters, count, values, random, key, written } = self;
        *written += 1;
        let command = match mix.bounds.as_slice() {
            [_] => &mix.commands[0],
            _ if mix.in_turn => &mix.commands[(*written - 1) % mix.commands.len()],
            bounds => {
                let drawn = random.below(bounds[bounds.len() - 1]);
                &mix.commands[bounds.iter().position(|bound| drawn < *bound).unwrap_or(0)]
            }
        };
        for segment in &command.segments {
            match segment {
                Segment::Bytes(bytes) => out.extend_from_slice(bytes),
                Segment::Key => {
                    *key = picker.pick(random);
                    keys.write(*key, out);
                    if let Some(read) = read.as_mut().filter(|_| command.reads == Reads::Values) {
                        read.push(*key);
                    }
                }
                Segment::Same => keys.write(*key, out),
                Segment::Counter => counters.write(picker.pick(random), out),
                Segment::Value => values.write_bulk(random, *key, keys, out),
                Segment::Random => {
                    let mut field = [b'0'; RANDOM_DIGITS];
                    write_digits(random.below(*count), &mut field);
                    out.extend_from_slice(&field);
                }
                Segment::Below { bound, digits } => {
                    let mut field = [b'0'; DIGITS_MAX];
                    write_digits(random.below(*bound), &mut field[..*digits]);
                    out.extend_from_slice(&field[..*digits]);
                }
                Segment::Text(len) => values.write_text(random, *len, out),
            }
        }
    }
}

/// The words of a command known by name, and what its reply carries.
fn named(name: &str) -> Result<(Vec<String>, Reads)> {
    let (name, number) = match name.split_once(':') {
        Some((name, number)) => {
            (name, Some(number.parse().with_context(|| format!("bad number in '{name}'"))?))
        }
        None => (name, None),
    };
    let keys: usize = number.unwrap_or(10);
    if keys == 0 || keys > KEYS_PER_COMMAND_MAX {
        bail!("'{name}:{keys}': want a number from 1 to {KEYS_PER_COMMAND_MAX}");
    }
    let (text, reads) = match (name, number) {
        ("ping", None) => ("PING".to_owned(), Reads::Nothing),
        ("set", None) => ("SET __key__ __value__".to_owned(), Reads::Nothing),
        ("get", None) => ("GET __key__".to_owned(), Reads::Values),
        ("incr", None) => ("INCR __counter__".to_owned(), Reads::Nothing),
        ("del", _) => ("DEL".to_owned() + &" __key__".repeat(number.map_or(1, |_| keys)), Reads::Nothing),
        ("setex", _) => (format!("SETEX __key__ {} __value__", number.unwrap_or(3600)), Reads::Nothing),
        ("mset", _) => ("MSET".to_owned() + &" __key__ __value__".repeat(keys), Reads::Nothing),
        ("mget", _) => ("MGET".to_owned() + &" __key__".repeat(keys), Reads::Values),
        _ => bail!(
            "unknown command '{name}' in the mix: want ping, set, get, incr, del[:KEYS], setex[:SECONDS], mset[:KEYS] or mget[:KEYS]; for others use --command"
        ),
    };
    Ok((text.split(' ').map(str::to_owned).collect(), reads))
}

/// Encodes `words` as a RESP array, with what varies cut out.
fn compile(words: &[String], sizes: NameSizes) -> Result<Vec<Segment>> {
    let mut segments = Vec::new();
    let mut fixed = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        if word == VALUE {
            segments.push(Segment::Bytes(std::mem::take(&mut fixed)));
            segments.push(Segment::Value);
            continue;
        }
        let (pieces, len) = pieces(word, sizes)?;
        fixed.extend_from_slice(format!("${len}\r\n").as_bytes());
        for piece in pieces {
            match piece {
                Segment::Bytes(bytes) => fixed.extend_from_slice(&bytes),
                variable => {
                    segments.push(Segment::Bytes(std::mem::take(&mut fixed)));
                    segments.push(variable);
                }
            }
        }
        fixed.extend_from_slice(b"\r\n");
    }
    segments.push(Segment::Bytes(fixed));
    segments.retain(|segment| !matches!(segment, Segment::Bytes(bytes) if bytes.is_empty()));
    Ok(segments)
}

/// Cuts one word into its place holders and what is between them; and its length in bytes.
fn pieces(word: &str, sizes: NameSizes) -> Result<(Vec<Segment>, usize)> {
    if word.contains(VALUE) {
        bail!("'{word}': {VALUE} must be an argument of its own");
    }
    let (mut rest, mut found, mut len) = (word, Vec::new(), 0);
    while let Some((at, text, segment, size)) = first_holder(rest, sizes)? {
        found.push(Segment::Bytes(rest.as_bytes()[..at].to_vec()));
        found.push(segment);
        len += at + size;
        rest = &rest[at + text..];
    }
    found.push(Segment::Bytes(rest.as_bytes().to_vec()));
    Ok((found, len + rest.len()))
}

/// The first place holder in `word`: where it is, how long it is there, what it stands for, and how long that is.
fn first_holder(word: &str, sizes: NameSizes) -> Result<Option<(usize, usize, Segment, usize)>> {
    let holders = [
        (KEY, Segment::Key, sizes.key),
        (SAME, Segment::Same, sizes.key),
        (COUNTER, Segment::Counter, sizes.counter),
        (RANDOM, Segment::Random, RANDOM_DIGITS),
    ];
    let plain = holders
        .into_iter()
        .filter_map(|(text, segment, size)| Some((word.find(text)?, text.len(), segment, size)));
    let numbered = [BELOW, TEXT].map(|text| numbered_holder(word, text));
    let mut found: Vec<_> = plain.collect();
    for holder in numbered {
        found.extend(holder?);
    }
    Ok(found.into_iter().min_by_key(|(at, ..)| *at))
}

/// The first `__rand:N__` or `__text:N__` in `word`, by what it begins with; as [`first_holder`].
fn numbered_holder(word: &str, begin: &str) -> Result<Option<(usize, usize, Segment, usize)>> {
    let Some(at) = word.find(begin) else { return Ok(None) };
    let rest = &word[at + begin.len()..];
    let number =
        rest.split_once("__").and_then(|(number, _)| number.parse().ok().filter(|number| *number > 0));
    let number: u64 = number.with_context(|| format!("'{word}': want {begin}N__, N a number from 1"))?;
    let text = begin.len() + rest.find("__").unwrap_or_default() + 2;
    if begin == BELOW {
        let digits = (number - 1).checked_ilog10().unwrap_or(0) as usize + 1;
        return Ok(Some((at, text, Segment::Below { bound: number, digits }, digits)));
    }
    if number > TEXT_BYTES_MAX as u64 {
        bail!("'{word}': at most {TEXT_BYTES_MAX} letters");
    }
    Ok(Some((at, text, Segment::Text(number as usize), number as usize)))
}

/// Digits of `__rand__`.
pub const RANDOM_DIGITS: usize = 12;
/// Bound of `mset:N` and `mget:N`.
const KEYS_PER_COMMAND_MAX: usize = 1_000_000;
const KEY: &str = "__key__";
const SAME: &str = "__same__";
const COUNTER: &str = "__counter__";
const VALUE: &str = "__value__";
const RANDOM: &str = "__rand__";
const BELOW: &str = "__rand:";
const TEXT: &str = "__text:";
/// Digits of the largest u64.
const DIGITS_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::keys::Distribution;
    use crate::load::value::ValueSize;

    fn writer(mix: &str, templates: &[&str]) -> Result<Writer> {
        let names = [KeyNames::new("k:", 6, 100)?, KeyNames::new("ctr:", 7, 100)?];
        let templates: Vec<String> = templates.iter().map(|&text| text.to_owned()).collect();
        let mix = Mix::new(mix, &templates, NameSizes { key: 6, counter: 7 })?;
        let picker = Picker::new(Distribution::Sequential, 100, 0, 1);
        Ok(Writer::new(mix, picker, 100, names, Values::new(ValueSize::Fixed(8), true), 1))
    }

    fn check(mix: &str, templates: &[&str], expected: &str) {
        let mut out = Vec::new();
        writer(mix, templates).unwrap().write(&mut out, None);
        assert_eq!(String::from_utf8(out).unwrap().replace("\r\n", " "), expected);
    }

    #[test]
    fn commands_are_written_as_resp() {
        check("ping", &[], "*1 $4 PING ");
        check("set", &[], "*3 $3 SET $6 k:0000 $8 k:0000|k ");
        check("get", &[], "*2 $3 GET $6 k:0000 ");
        check("incr", &[], "*2 $4 INCR $7 ctr:000 ");
        check("setex:60", &[], "*4 $5 SETEX $6 k:0000 $2 60 $8 k:0000|k ");
        check("mset:2", &[], "*5 $4 MSET $6 k:0000 $8 k:0000|k $6 k:0001 $8 k:0001|k ");
        check("mget:2", &[], "*3 $4 MGET $6 k:0000 $6 k:0001 ");
        check("", &["ZADD 'a z' 1 x__key____key__y"], "*4 $4 ZADD $3 a z $1 1 $14 xk:0000k:0001y ");
    }

    #[test]
    fn a_random_number_has_its_twelve_digits() {
        let mut out = Vec::new();
        writer("", &["SADD s __rand__"]).unwrap().write(&mut out, None);
        let text = String::from_utf8(out).unwrap();
        let number = text.lines().last().unwrap();
        assert!(number.len() == RANDOM_DIGITS && number.parse::<u64>().unwrap() < 100, "{text:?}");
    }

    #[test]
    fn numbers_and_letters_have_the_length_they_are_asked_for() {
        let check = |template: &str, lens: &[usize]| {
            let mut out = Vec::new();
            writer("", &[template]).unwrap().write(&mut out, None);
            let text = String::from_utf8(out).unwrap();
            let mut lines = text.split("\r\n").skip(1);
            for len in lens {
                assert_eq!(lines.next(), Some(format!("${len}").as_str()), "{text:?}");
                assert_eq!(lines.next().map(str::len), Some(*len), "{text:?}");
            }
        };
        check("HSET __key__ f__rand:10__ 1__rand:1000__", &[4, 6, 2, 4]);
        check("SADD __key____rand:1__ __text:8__ m__text:2__x__rand:101__", &[4, 7, 8, 7]);
        for bad in [
            "SET a __rand:__",
            "SET a __rand:0__",
            "SET a __text:9",
            "SET a __text:99999__",
            "SET a __text:x__",
        ] {
            assert!(writer("", &[bad]).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_mix_follows_its_weights() {
        let mut writer = writer("set=1,get=9", &[]).unwrap();
        let (mut gets, mut out, mut read) = (0, Vec::new(), Vec::new());
        for _ in 0..10_000 {
            out.clear();
            read.clear();
            writer.write(&mut out, Some(&mut read));
            assert_eq!(read.len(), usize::from(out.starts_with(b"*2")));
            gets += read.len();
        }
        // 9,000 expected, standard deviation 30.
        assert!((8850..9150).contains(&gets), "{gets}");
    }

    #[test]
    fn commands_in_turn_follow_one_another_and_may_share_a_key() {
        let templates = ["MULTI", "SET {__key__}a 1", "GET {__same__}a", "EXEC"];
        let mut writer = writer("", &templates).unwrap();
        writer.mix = writer.mix.in_turn();
        let mut out = Vec::new();
        (0..6).for_each(|_| writer.write(&mut out, None));
        let text = String::from_utf8(out).unwrap().replace("\r\n", " ");
        let block = |key| format!("*1 $5 MULTI *3 $3 SET $9 {{k:{key}}}a $1 1 *2 $3 GET $9 {{k:{key}}}a ");
        assert!(
            text.starts_with(&(block("0000") + "*1 $4 EXEC *1 $5 MULTI *3 $3 SET $9 {k:0001}a")),
            "{text}"
        );
    }

    #[test]
    fn bad_mixes_are_refused() {
        for bad in ["", "nope", "set=x", "get:3", "mset:0", "mset:x", "set=0"] {
            assert!(writer(bad, &[]).is_err(), "{bad:?}");
        }
        for bad in ["", "SET __key__ 'x", "SET __key__ a__value__"] {
            assert!(writer("", &[bad]).is_err(), "{bad:?}");
        }
    }
}

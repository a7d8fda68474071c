//! Random Lua programs, each an EVAL: commands of other families, called or caught, with what they answer taken apart,
//! and what Lua's and Redis's libraries make of random values. What has no order, or differs from run to run, is sorted or
//! reduced to its kind before the program looks at it.

use super::super::compare::Rule;
use super::{Command, Generator};

/// One program under construction.
#[derive(Default)]
struct Program {
    text: String,
    keys: Command,
    args: Command,
    /// How many statements may still come.
    left: usize,
    /// Every key is a declared one.
    declares: bool,
}

impl Generator {
    /// EVAL with a program. One statement stands on each line of it.
    pub(super) fn program(&mut self) -> Command {
        let mut program = Program {
            text: PRELUDE.into(),
            left: 2 + self.rng.index(10),
            declares: self.rng.one_in(2),
            ..Program::default()
        };
        if self.rng.one_in(4) {
            program.text.push_str("redis.setresp(3)\n");
        }
        while program.left > 0 {
            self.statement(&mut program, 0);
            program.text.push('\n');
        }
        let end = match self.rng.below(8) {
            0 => "return r".into(),
            1 => format!("return {}", self.value_of(&mut program, 2)),
            2 => self.error(&mut program),
            3 => String::new(),
            _ => "return out".into(),
        };
        program.text.push_str(&end);
        let count = program.keys.len().to_string();
        let mut command = vec![b"EVAL".to_vec(), program.text.into_bytes(), count.into_bytes()];
        command.append(&mut program.keys);
        command.append(&mut program.args);
        command
    }

    fn statement(&mut self, program: &mut Program, depth: usize) {
        program.left = program.left.saturating_sub(1);
        let text = match self.rng.below(20) {
            0..=7 => self.call_of_command(program),
            8 if depth < 2 => {
                let condition = self.condition(program);
                return self.block(program, depth, &format!("if {condition} then "), " end");
            }
            9 if depth < 2 => {
                let times = self.rng.below(3) + 1;
                return self.block(program, depth, &format!("for i = 1, {times} do n = n + i "), " end");
            }
            10 if depth < 2 => {
                return self.block(program, depth, "note(pcall(function() ", " return s, n end))");
            }
            11 => format!("n = {}", self.number_of(program, 2)),
            12 => format!("s = {}", self.text_of(program, 2)),
            13 => format!("t = {}", self.table_of(program, 2)),
            // Where C's cjson counts beyond an int, what it does is not defined.
            14 => format!("t[{}] = {}", self.rng.below(9), self.value_of(program, 1)),
            15 if self.rng.one_in(2) => format!("t[{}] = 1", self.text_of(program, 1)),
            16 if self.rng.one_in(3) => self.error(program),
            _ => self.trip(program),
        };
        program.text.push_str(&text);
    }

    /// Raises an error, but no table without a text: that ends Redis 7.0.
    fn error(&mut self, program: &mut Program) -> String {
        match self.rng.below(3) {
            0 => format!("error({{err = plain({})}})", self.value_of(program, 1)),
            1 => format!("error(plain({}), {})", self.value_of(program, 1), self.rng.below(3)),
            _ => format!("error({})", self.text_of(program, 0)),
        }
    }

    /// Statements between `begin` and `end`.
    fn block(&mut self, program: &mut Program, depth: usize, begin: &str, end: &str) {
        program.text.push_str(begin);
        for _ in 0..=self.rng.below(3) {
            self.statement(program, depth + 1);
            program.text.push(' ');
        }
        program.text.push_str(end);
    }

    /// A command, and what is noted of its reply.
    fn call_of_command(&mut self, program: &mut Program) -> String {
        let command = self.printable_command();
        let rule = Rule::of(&command);
        let mut words = Vec::new();
        for (at, word) in command.iter().enumerate() {
            words.push(self.word_of_command(program, at, word));
        }
        if self.rng.one_in(8) && words.len() > 2 && rule == Rule::Same && !has_time(&command) {
            // What a script works out, or what no command takes. Redis 7.0 and 7.2 write some numbers differently.
            *words.last_mut().expect("more than two") = match self.rng.below(4) {
                0 => (*self.rng.pick(&["#s", "#t", "r", "t", "nil", "true", "{}"])).into(),
                _ => self.text_of(program, 1),
            };
        }
        let how = *self.rng.pick(&["redis.pcall", "redis.pcall", "redis.call"]);
        let call = format!("{how}({})", words.join(", "));
        match rule {
            Rule::Same if self.rng.one_in(2) => format!("r = {call} note(r)"),
            Rule::Same => format!("note({call})"),
            Rule::Unordered | Rule::Pairs => format!("note(sorted({call}))"),
            _ => format!("note(kind({call}))"),
        }
    }

    /// A command without what errors might repeat in another way, and without times that have passed.
    fn printable_command(&mut self) -> Command {
        loop {
            let command = self.one_command();
            let is_printable = command.iter().flatten().all(|byte| (b' '..=b'~').contains(byte));
            let has_time = command.iter().any(|word| word.to_ascii_uppercase().ends_with(b"XAT"));
            let is_random = command[0].eq_ignore_ascii_case(b"spop");
            let is_small = command.iter().map(Vec::len).sum::<usize>() < 400;
            if is_printable && is_small && !has_time && !is_random {
                return command;
            }
        }
    }

    fn word_of_command(&mut self, program: &mut Program, at: usize, word: &[u8]) -> String {
        let is_key = at > 0 && matches!(word, [b'k', digit] if digit.is_ascii_digit());
        if is_key && (program.declares || self.rng.one_in(4)) {
            return format!("KEYS[{}]", place_of(&mut program.keys, word));
        }
        if at > 1 && !is_key && self.rng.one_in(3) {
            return format!("ARGV[{}]", place_of(&mut program.args, word));
        }
        let number = std::str::from_utf8(word).ok().filter(|text| text.parse::<i32>().is_ok_and(|n| n > 0));
        match number.filter(|text| !text.starts_with(['0', '+'])) {
            Some(number) if self.rng.one_in(2) => number.into(),
            _ => quoted(word),
        }
    }

    /// Something that a library makes of values, and back.
    fn trip(&mut self, program: &mut Program) -> String {
        match self.rng.below(16) {
            0 | 1 => {
                let value = self.value_of(program, 2);
                format!("note(pcall(function() return cjson.decode(cjson.encode({value})) end))")
            }
            2 => format!("note(pcall(cjson.encode, {}))", self.list_of(program)),
            3 => format!("note(pcall(cjson.decode, {}))", self.json(2)),
            4 | 5 => {
                let (one, other) = (self.value_of(program, 2), self.value_of(program, 1));
                format!("note(pcall(function() return cmsgpack.unpack(cmsgpack.pack({one}, {other})) end))")
            }
            6 => format!("note(pcall(cmsgpack.pack, {}))", self.list_of(program)),
            7 => format!("note(pcall(cmsgpack.unpack, {}))", self.text_of(program, 1)),
            8 | 9 => {
                let format = self.format();
                let (one, other) = (self.number_of(program, 1), self.value_of(program, 0));
                format!(
                    "note(pcall(function() return struct.unpack('{format}', struct.pack('{format}', {one}, {other}, \
                     s)) end))"
                )
            }
            10 => {
                let (format, one) = (self.format(), self.number_of(program, 1));
                format!("note(pcall(struct.pack, '{format}', {one}, n, s))")
            }
            11 => {
                let name =
                    *self.rng.pick(&["band", "bor", "bxor", "lshift", "rshift", "arshift", "rol", "ror"]);
                let (one, other) = (self.number_of(program, 1), self.number_of(program, 1));
                format!("note(pcall(bit.{name}, {one}, {other}))")
            }
            12 => {
                let name = *self.rng.pick(&["bnot", "bswap", "tobit", "tohex"]);
                format!("note(pcall(bit.{name}, {}))", self.value_of(program, 1))
            }
            13 => {
                let name = *self.rng.pick(&["sha1hex", "status_reply", "error_reply", "setresp"]);
                format!("r = select(2, pcall(redis.{name}, {})) note(r)", self.value_of(program, 1))
            }
            14 => format!("math.randomseed({}) note(math.random(1000))", self.rng.below(1 << 31)),
            _ => format!("note({})", self.value_of(program, 3)),
        }
    }

    fn format(&mut self) -> String {
        let mut format = (*self.rng.pick(&["", "<", ">", "!4", "="])).to_owned();
        for _ in 0..=self.rng.below(3) {
            format.push_str(self.rng.pick::<&str>(&[
                "b", "B", "h", "H", "i", "I", "l", "L", "i3", "I8", "i4", "f", "d", "s", "c4", "c0", "x",
                "z", " ",
            ]));
        }
        format
    }

    fn condition(&mut self, program: &mut Program) -> String {
        match self.rng.below(6) {
            0 => format!("{} == {}", self.value_of(program, 1), self.value_of(program, 1)),
            1 => format!("{} < {}", self.number_of(program, 1), self.number_of(program, 1)),
            2 => format!("{} <= {}", self.text_of(program, 1), self.text_of(program, 1)),
            3 => format!("not {}", self.value_of(program, 1)),
            4 => "type(r) == 'table'".into(),
            _ => format!("n % {} == 0", 1 + self.rng.below(4)),
        }
    }

    fn value_of(&mut self, program: &mut Program, depth: usize) -> String {
        match self.rng.below(10) {
            0..=2 => self.number_of(program, depth),
            3..=5 => self.text_of(program, depth),
            6 | 7 if depth > 0 => self.table_of(program, depth - 1),
            8 => (*self.rng.pick(&["true", "false", "nil", "r", "t", "cjson.null"])).into(),
            _ => (*self.rng.pick(&["n", "s", "t", "r", "KEYS", "ARGV", "KEYS[1]", "ARGV[1]", "t[1]"])).into(),
        }
    }

    fn number_of(&mut self, program: &mut Program, depth: usize) -> String {
        match self.rng.below(if depth > 0 { 12 } else { 6 }) {
            0 => (self.rng.below(2000) as i64 - 1000).to_string(),
            1 => format!("{:.3}", self.rng.unit() * 2000.0 - 1000.0),
            2 => (*self.rng.pick(&[
                "0", "-0", "1", "255", "256", "65536", "2^31", "2^32", "2^53", "2^63", "-2^63", "1e15",
                "1e300", "1/0", "0.1", "-1/0", "1e-7",
            ]))
            .into(),
            3 => "n".into(),
            4 => "#s".into(),
            5 => "#t".into(),
            6..=8 => {
                let operator = *self.rng.pick(&["+", "-", "*", "/", "%", "^"]);
                let (one, other) = (self.number_of(program, depth - 1), self.number_of(program, depth - 1));
                format!("({one} {operator} {other})")
            }
            9 => format!("(tonumber({}) or 7)", self.value_of(program, depth - 1)),
            10 => {
                let name = *self.rng.pick(&["floor", "ceil", "abs", "sqrt", "modf", "frexp"]);
                format!("math.{name}({})", self.number_of(program, depth - 1))
            }
            // Arithmetic on what may be no number.
            _ => format!("({} + 1)", self.value_of(program, depth - 1)),
        }
    }

    fn text_of(&mut self, program: &mut Program, depth: usize) -> String {
        match self.rng.below(if depth > 0 { 14 } else { 5 }) {
            0 | 1 => {
                let mut bytes = vec![0; self.rng.index(12)];
                self.rng.fill(&mut bytes);
                quoted(&bytes)
            }
            2 => quoted(
                self.rng.pick::<&str>(&["", "1", "0x10", " 7 ", "1e3", "text", "a,b,c", "%d"]).as_bytes(),
            ),
            3 => "s".into(),
            4 => "ARGV[2]".into(),
            5 | 6 => {
                format!("({} .. {})", self.text_of(program, depth - 1), self.number_of(program, depth - 1))
            }
            7 => format!("plain({})", self.value_of(program, depth - 1)),
            8 => {
                let name = *self.rng.pick(&["upper", "lower", "reverse", "len"]);
                format!("string.{name}({})", self.text_of(program, depth - 1))
            }
            9 => format!(
                "string.sub({}, {}, {})",
                self.text_of(program, depth - 1),
                self.rng.below(7) as i64 - 3,
                self.rng.below(9) as i64 - 3
            ),
            10 => format!("string.rep({}, {})", self.text_of(program, depth - 1), self.rng.below(5)),
            11 => {
                let format =
                    *self.rng.pick(&["%d", "%5.2f", "%s", "%q", "%x", "%g", "%c", "%10s|%-5d", "%i", "%%"]);
                format!("string.format('{format}', {}, n)", self.number_of(program, depth - 1))
            }
            12 => format!("table.concat({}, ',')", self.list_of(program)),
            _ => format!("({} .. 'x')", self.value_of(program, depth - 1)),
        }
    }

    fn table_of(&mut self, program: &mut Program, depth: usize) -> String {
        let mut fields = Vec::new();
        for _ in 0..self.rng.below(5) {
            let value = self.value_of(program, depth);
            fields.push(match self.rng.below(8) {
                0..=3 => value,
                4 => format!("a = {value}"),
                5 => format!("[{}] = {value}", 1 + self.rng.below(4)),
                6 => format!(
                    "[{}] = {value}",
                    quoted(self.rng.pick::<&str>(&["x", "1", "ok", "err"]).as_bytes())
                ),
                _ => format!(
                    "{} = {value}",
                    self.rng.pick::<&str>(&["ok", "err", "double", "map", "set", "b"])
                ),
            });
        }
        format!("{{{}}}", fields.join(", "))
    }

    /// A table that has one order alone.
    fn list_of(&mut self, program: &mut Program) -> String {
        let fields: Vec<String> = (0..self.rng.below(5))
            .map(|_| if self.rng.one_in(2) { self.number_of(program, 1) } else { self.text_of(program, 1) })
            .collect();
        format!("{{{}}}", fields.join(", "))
    }

    fn json(&mut self, depth: usize) -> String {
        quoted(self.json_text(depth).as_bytes())
    }

    fn json_text(&mut self, depth: usize) -> String {
        let list = |generator: &mut Self, one: fn(&mut Self, usize) -> String| {
            let items: Vec<String> = (0..generator.rng.below(4)).map(|_| one(generator, depth - 1)).collect();
            items.join(",")
        };
        match self.rng.below(if depth > 0 { 12 } else { 8 }) {
            0 => (*self.rng.pick(&["null", "true", "false", "nul", "NaN", "-Infinity", "", "0x1F"])).into(),
            1 => self.rng.below(100_000).to_string(),
            2 => format!("{:e}", self.rng.unit() * 1e10 - 5e9),
            3 => (*self.rng.pick(&["-0", "1.", "01", "1e400", "-", "18446744073709551616"])).into(),
            4..=7 => {
                let pieces =
                    ["a", "\\n", "\\u00e9", "\\ud83d\\ude00", "\\ud800", "é", "\\/", "\\x", "\u{1}", " "];
                let text: String = (0..self.rng.below(4)).map(|_| *self.rng.pick(&pieces)).collect();
                format!("\"{text}\"")
            }
            8 | 9 => format!("[{}]", list(self, Self::json_text)),
            _ => {
                let pair: fn(&mut Self, usize) -> String = |generator, depth| {
                    let key = *generator.rng.pick(&["a", "b", "", "1"]);
                    format!("\"{key}\": {}", generator.json_text(depth))
                };
                format!("{{{}}}", list(self, pair))
            }
        }
    }
}

/// Whether a word of a command may be how long a key lives: a key that may be gone at the next command tells nothing.
fn has_time(command: &Command) -> bool {
    let name = command[0].to_ascii_uppercase();
    let is_option = |word: &Vec<u8>| word.eq_ignore_ascii_case(b"EX") || word.eq_ignore_ascii_case(b"PX");
    name.ends_with(b"EXPIRE") || name.ends_with(b"EXPIREAT") || command.iter().any(is_option)
}

/// Where a word is among those that are handed over, from one; it is added if it is not.
fn place_of(words: &mut Command, word: &[u8]) -> usize {
    let found = words.iter().position(|one| one == word);
    1 + found.unwrap_or_else(|| {
        words.push(word.to_vec());
        words.len() - 1
    })
}

/// A word as Lua writes it.
fn quoted(word: &[u8]) -> String {
    let mut text = String::from("'");
    for &byte in word {
        match byte {
            b'\'' | b'\\' => text.extend(['\\', char::from(byte)]),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => text.push_str(&format!("\\{byte:03}")),
        }
    }
    text.push('\'');
    text
}

/// What every program has. `show` writes a value in one way alone, whatever the order of its fields.
const PRELUDE: &str = "local out, n, s, t, r = {}, 3, 'text', {1, 'b'}, false \
local function plain(v) return (type(v) == 'table' or type(v) == 'function') and type(v) or tostring(v) end \
local function show(v, d) \
if type(v) == 'string' then return string.format('%q', v) end \
if type(v) ~= 'table' or d > 5 then return plain(v) end \
local f = {} for k, e in pairs(v) do f[#f + 1] = type(k) .. ' ' .. show(k, d + 1) .. '=' .. show(e, d + 1) end \
table.sort(f) return '{' .. table.concat(f, ';') .. '}' end \
local function note(...) for i = 1, select('#', ...) do out[#out + 1] = show((select(i, ...)), 0) end end \
local function sorted(v) if type(v) == 'table' and v[1] then local f = {} for i, e in ipairs(v) do f[i] = show(e, 0) end \
table.sort(f) return f end return v end \
local function kind(v) return type(v) == 'table' and (v.err or v.ok) or type(v) end\n";

//! Commands as a script.

/// A command's words, and which of them are keys.
pub(super) type Words = (Vec<Vec<u8>>, Vec<usize>);

/// A call once for each command, by `redis.call` or `redis.pcall`: with its name written out, all else taken from KEYS and
/// ARGV, so that the server can see what it touches.
pub(super) fn tame(commands: impl Iterator<Item = Words>, call: &str) -> Vec<Vec<u8>> {
    let (mut text, mut keys, mut args) = ("local r = {}\n".to_owned(), Vec::new(), Vec::new());
    for (number, (words, places)) in commands.enumerate() {
        text += &format!("r[{}] = redis.{call}('{}'", number + 1, String::from_utf8_lossy(&words[0]));
        for (at, word) in words.into_iter().enumerate().skip(1) {
            let (list, name) = if places.contains(&at) { (&mut keys, "KEYS") } else { (&mut args, "ARGV") };
            list.push(word);
            text += &format!(", {name}[{}]", list.len());
        }
        text += ")\n";
    }
    text += "return r";
    let head = [b"EVAL".to_vec(), text.into_bytes(), keys.len().to_string().into_bytes()];
    head.into_iter().chain(keys).chain(args).collect()
}

/// One script for all, which declares no key: how many words each command has, and its words, come as arguments.
pub(super) fn wild(commands: impl Iterator<Item = Words>, call: &str) -> Vec<Vec<u8>> {
    let text = WILD.replace("call", call);
    let head = [b"EVAL".to_vec(), text.into_bytes(), b"0".to_vec()];
    let counted = |words: Words| std::iter::once(words.0.len().to_string().into_bytes()).chain(words.0);
    head.into_iter().chain(commands.flat_map(counted)).collect()
}

const WILD: &str = "\
local replies, at = {}, 1
while ARGV[at] do
    local words = tonumber(ARGV[at])
    replies[#replies + 1] = redis.call(unpack(ARGV, at + 1, at + words))
    at = at + words + 1
end
return replies";

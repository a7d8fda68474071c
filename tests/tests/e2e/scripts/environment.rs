//! Every script of `snippets.txt`, on redis-server and on Lacewing: the replies must be the same.

use lacewing_tests::{Client, RedisServer, Server, show};
use stdx::Rng;

const SNIPPETS: &str = include_str!("snippets.txt");

fn snippets() -> impl Iterator<Item = String> {
    let lines = SNIPPETS.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| {
        line.strip_prefix('\\').filter(|rest| rest.starts_with('#')).unwrap_or(line).replace('¶', "\n")
    })
}

/// The reply, without what differs from run to run: addresses.
fn run(client: &mut Client, script: &str) -> String {
    let reply = show(&client.call(&["EVAL", script, "2", "key:1", "key:2", "one", "2", "3.5"]));
    let mut parts = reply.split("0x");
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        shown.push_str("0x..");
        shown.push_str(part.trim_start_matches(|digit: char| digit.is_ascii_hexdigit()));
    }
    shown
}

#[track_caller]
fn check(cores: &str, resp3: bool) {
    let Some(redis) = RedisServer::start() else { return };
    let lacewing = Server::with(&["--cores", cores]);
    let (mut theirs, mut ours) = (redis.client(), lacewing.client());
    if resp3 {
        (theirs, ours) = (theirs.resp3(), ours.resp3());
    }
    let mut differences = Vec::new();
    for script in snippets() {
        let want = run(&mut theirs, &script);
        let got = run(&mut ours, &script);
        if got != want {
            differences.push(format!("{script}\n  redis:    {want}\n  lacewing: {got}"));
        }
    }
    assert!(differences.is_empty(), "{} scripts differ:\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn the_environment_is_that_of_redis() {
    check("1", false);
}

#[test]
fn the_environment_is_that_of_redis_in_resp3() {
    check("1", true);
}

/// Random patterns, right and wrong ones, on texts of few letters. Longer with `LACEWING_LONG_COMMANDS`.
#[test]
fn patterns_match_as_in_redis() {
    const TRY: &str = "local t, p, r = ARGV[1], ARGV[2], ARGV[3] \
        local function try(f, ...) \
            local got = {pcall(f, ...)} for i = 1, 6 do got[i] = tostring(got[i]) end return table.concat(got, '|') \
        end \
        local function all() local got = {} for a, b in t:gmatch(p) do got[#got + 1] = a .. ',' .. tostring(b) end \
            return table.concat(got, ';') end \
        return {try(t.find, t, p), try(t.find, t, p, 3), try(t.find, t, p, -2, true), try(t.match, t, p), \
            try(t.gsub, t, p, r), try(t.gsub, t, p, r, 1), try(t.gsub, t, p, {a = 'A', ab = 1, [1] = false}), \
            try(t.gsub, t, p, function(a, b) return b end), try(all)}";
    const PIECES: &[&str] = &[
        "a", "b", "c", ".", "%a", "%d", "%W", "%z", "[ab]", "[^a]", "[%w-]", "[]x]", "[a-c]", "*", "+", "-",
        "?", "^", "$", "(", ")", "()", "%1", "%2", "%b()", "%bab", "%f[ab]", "%", "[", "%0", "x", "\0", "%%",
        "%.",
    ];
    let Some(redis) = RedisServer::start() else { return };
    let lacewing = Server::with(&["--cores", "1"]);
    let (mut theirs, mut ours) = (redis.client(), lacewing.client());
    let commands = std::env::var("LACEWING_LONG_COMMANDS").ok().and_then(|text| text.parse().ok());
    for seed in 0..commands.unwrap_or(3000) {
        let mut rng = Rng::new(seed);
        let mut words = |choices: &[&str], most: u64| -> String {
            (0..=rng.below(most)).map(|_| *rng.pick::<&str>(choices)).collect()
        };
        let text = words(&["a", "a", "b", "ab", "c", "(", ")", "x", "1", ".", " ", "\0"], 10);
        let (pattern, with) = (words(PIECES, 6), words(&["%0", "%1", "%2", "%", "x", "%%", ""], 3));
        let call = ["EVAL", TRY, "0", &text, &pattern, &with];
        let (want, got) = (show(&theirs.call(&call)), show(&ours.call(&call)));
        assert_eq!(got, want, "seed {seed}: {pattern:?} in {text:?}, with {with:?}");
    }
}

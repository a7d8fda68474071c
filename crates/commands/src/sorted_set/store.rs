//! Storing what a command found under another key.

use crate::ctx::Ctx;
use crate::effects::Event;
use datatypes::zset;
use datatypes::{Element, Limits, Value};
use keyspace::{Access, Ttl};
use stdx::number::format_f64;

/// Members with scores, each once.
#[derive(Debug, Default)]
pub(crate) struct Members {
    /// All members' bytes.
    bytes: Vec<u8>,
    /// Score and end of each member.
    ends: Vec<(f64, usize)>,
    len_max: usize,
}

impl Members {
    pub(crate) fn push(&mut self, member: Element<'_>, score: f64) {
        let start = self.bytes.len();
        member.append_to(&mut self.bytes);
        self.len_max = self.len_max.max(self.bytes.len() - start);
        self.ends.push((score, self.bytes.len()));
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Makes of -0 what Redis makes of it when it adds members one by one, in the order in which they were pushed: the
    /// compact form, which holds them as long as they fit (from the beginning if `known_len` does), knows 0 only.
    pub(crate) fn grow_from_compact(&mut self, known_len: usize, limits: &Limits) {
        if known_len > limits.zset_max_listpack_entries {
            return;
        }
        let mut start = 0;
        for (score, end) in self.ends.iter_mut().take(limits.zset_max_listpack_entries) {
            if *end - start > limits.zset_max_listpack_value {
                break;
            }
            start = *end;
            if *score == 0.0 {
                *score = 0.0;
            }
        }
    }

    fn iter(&self) -> impl Iterator<Item = (&[u8], f64)> {
        let mut start = 0;
        self.ends.iter().map(move |&(score, end)| {
            let member = &self.bytes[start..end];
            start = end;
            (member, score)
        })
    }

    /// In the order of scores, and of members where these are equal.
    pub(crate) fn sorted(&self) -> Vec<(&[u8], f64)> {
        let mut sorted: Vec<_> = self.iter().collect();
        let order = |one: &(&[u8], f64), other: &(&[u8], f64)| {
            let scores = one.1.partial_cmp(&other.1).expect("no score is NaN");
            scores.then_with(|| one.0.cmp(other.0))
        };
        if !sorted.is_sorted_by(|one, other| order(one, other).is_le()) {
            sorted.sort_unstable_by(order);
        }
        sorted
    }
}

/// Puts `members` under `key`, over whatever was there, and answers how many they are; none delete the key.
pub(crate) fn store(ctx: &mut Ctx<'_>, key: &[u8], members: &Members, event: &'static str) {
    let (at, db, now) = (ctx.key(key), ctx.caller.db, ctx.now);
    let len = members.len();
    if len == 0 {
        if ctx.core.keyspace.remove(db, at, now) {
            ctx.effect(key, &[b"DEL", key]);
            ctx.event(Event::GENERIC, "del", key);
        }
        return ctx.out.int(0);
    }
    let sorted = members.sorted();
    if ctx.core.effects.journals() {
        if ctx.core.keyspace.find(db, at, now, Access::Write).is_some() {
            ctx.effect(key, &[b"DEL", key]);
        }
        sorted.chunks(EFFECT_MEMBERS_MAX).for_each(|part| say_added(ctx, key, part));
    }
    let object = zset::collect(sorted.into_iter(), len, members.len_max, &ctx.core.keyspace.limits());
    ctx.core.keyspace.store(db, at, Value::Object(object), Ttl::Clear, now);
    ctx.event(Event::ZSET, event, key);
    ctx.out.int(len as i64);
}

/// Says the effect of adding these.
fn say_added(ctx: &mut Ctx<'_>, key: &[u8], members: &[(&[u8], f64)]) {
    let (mut scores, mut ends) = (Vec::new(), Vec::new());
    for (_, score) in members {
        format_f64(*score, &mut scores);
        ends.push(scores.len());
    }
    let mut words: Vec<&[u8]> = vec![b"ZADD", key];
    let mut start = 0;
    for ((member, _), end) in members.iter().zip(ends) {
        words.push(&scores[start..end]);
        words.push(member);
        start = end;
    }
    ctx.effect(key, &words);
}

/// Members of one effect: a large result is several.
const EFFECT_MEMBERS_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    /// Of which of these members, all with score -0, the zero has lost its sign.
    fn check(members: &[&str], known_len: usize, want: &[&str]) {
        let limits = Limits { zset_max_listpack_entries: 2, zset_max_listpack_value: 3, ..Limits::default() };
        let mut all = Members::default();
        members.iter().for_each(|member| all.push(Element::Bytes(member.as_bytes()), -0.0));
        all.grow_from_compact(known_len, &limits);
        let unsigned = all.iter().filter(|(_, score)| score.is_sign_positive());
        let unsigned: Vec<&[u8]> = unsigned.map(|(member, _)| member).collect();
        assert_eq!(unsigned, want.iter().map(|member| member.as_bytes()).collect::<Vec<_>>());
    }

    #[test]
    fn zeros_lose_their_sign_while_the_result_is_compact() {
        check(&["a", "b"], 2, &["a", "b"]);
        check(&["a", "b", "c"], 0, &["a", "b"]);
        check(&["a", "b", "c"], 3, &[]);
        check(&["a", "long", "b"], 0, &["a"]);
    }
}

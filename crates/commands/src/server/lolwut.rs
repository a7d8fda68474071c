//! LOLWUT: a lacewing's wing, drawn anew each time, and the version.

use crate::ctx::{Ctx, Outcome, parse_int};
use crate::error::CommandError;
use stdx::{Args, Rng};

/// LOLWUT [VERSION version] [number...]: there is one picture, whatever is asked for; the numbers are only checked, as far
/// as Redis does.
pub(super) fn lolwut(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    if args.len() >= 3 && args.at(1).eq_ignore_ascii_case(b"VERSION") {
        let number = |word| parse_int(word).ok_or(CommandError::NotInteger);
        let sizes = match number(args.at(2))? {
            5 => 3,
            6 => 2,
            _ => 0,
        };
        args.from(3).iter().take(sizes).try_for_each(|size| number(size).map(drop))?;
    }
    let mut text = wing(&mut Rng::new(ctx.now.0 as u64));
    text.push_str(&format!("\nRedis ver. {} (Lacewing ver. {})\n", crate::REDIS_VERSION, crate::VERSION));
    ctx.out.verbatim("txt", text.as_bytes());
    Ok(Outcome::Done)
}

/// A wing: an ellipse of veins.
fn wing(rng: &mut Rng) -> String {
    let mut text = String::new();
    for y in 0..HEIGHT {
        let middle = (y as f64 + 0.5) / HEIGHT as f64 * 2.0 - 1.0;
        let half = ((1.0 - middle * middle).sqrt() * WIDTH as f64 / 2.0) as usize;
        let left = (WIDTH / 2).saturating_sub(half) + y / 2;
        text.extend(std::iter::repeat_n(' ', left));
        text.push('(');
        text.extend((0..half * 2).map(|x| if (x + y) % 4 == 0 { *rng.pick(&VEINS) } else { ' ' }));
        text.push_str(")\n");
    }
    text
}

const WIDTH: usize = 60;
const HEIGHT: usize = 9;
const VEINS: [char; 4] = ['/', '\\', '.', '|'];

#[cfg(test)]
mod tests {
    use crate::testing::{World, check};

    #[test]
    fn what_is_no_number_is_refused_where_redis_does() {
        let refused = "-ERR value is not an integer or out of range";
        for line in
            ["VERSION abc", "VERSION 5 x", "VERSION 5 1 2 x", "VERSION 6 1 x", "VERSION 99999999999999999999"]
        {
            check(&[&format!("LOLWUT {line}")], refused);
        }
        for line in ["", "abc", "VERSION", "VERSION 7 x", "VERSION 6 1 2 x", "VERSION -1 x"] {
            assert!(World::new(1).run(&format!("LOLWUT {line}")).contains("Redis ver."), "{line}");
        }
    }

    #[test]
    fn the_version_is_told_below_the_picture() {
        let reply = World::new(1).run("LOLWUT VERSION 5");
        let version = format!("\nRedis ver. {} (Lacewing ver. {})\n", crate::REDIS_VERSION, crate::VERSION);
        assert!(reply.ends_with(&version), "{reply}");
        assert_eq!(reply.lines().count(), super::HEIGHT + 2);
    }
}

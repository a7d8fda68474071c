//! LOLWUT: a lacewing's wing, drawn anew each time, and the version.

use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use stdx::{Args, Rng};

/// LOLWUT [VERSION version]: the version of the picture is not looked at, there is one.
pub(super) fn lolwut(ctx: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
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
    use crate::testing::World;

    #[test]
    fn the_version_is_told_below_the_picture() {
        let reply = World::new(1).run("LOLWUT VERSION 5");
        let version = format!("\nRedis ver. {} (Lacewing ver. {})\n", crate::REDIS_VERSION, crate::VERSION);
        assert!(reply.ends_with(&version), "{reply}");
        assert_eq!(reply.lines().count(), super::HEIGHT + 2);
    }
}

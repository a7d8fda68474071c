//! DEBUG PROTOCOL type: a reply of each type, for those who test a client's reading.

use crate::ctx::Ctx;
use crate::error::CommandError;
use resp::Proto;

/// Writes the reply. Errors: an unknown type; a push message in RESP2, which has none.
pub(super) fn protocol(ctx: &mut Ctx<'_>, word: &[u8]) -> Result<(), CommandError> {
    let is_resp3 = ctx.caller.proto == Proto::Resp3;
    let out = &mut ctx.out;
    match word.to_ascii_lowercase().as_slice() {
        b"string" => out.bulk(b"Hello World"),
        b"integer" => out.int(12345),
        b"double" => out.double(DOUBLE),
        b"null" => out.null(),
        b"array" => {
            out.array(3);
            (0..3).for_each(|number| out.int(number));
        }
        b"set" => {
            out.set(3);
            (0..3).for_each(|number| out.int(number));
        }
        b"map" => {
            out.map(3);
            for number in 0..3 {
                out.int(number);
                out.bool(number == 1);
            }
        }
        b"attrib" => {
            if is_resp3 {
                out.attribute(1);
                out.bulk(b"key-popularity");
                out.array(2);
                out.bulk(b"key:123");
                out.int(90);
            }
            out.bulk(b"Some real reply following the attribute");
        }
        b"push" if is_resp3 => {
            out.push(2);
            out.bulk(b"server-cpu-usage");
            out.int(42);
            out.bulk(b"Some real reply following the push reply");
        }
        b"push" => return Err(CommandError::NOT_IN_RESP2),
        b"verbatim" => out.verbatim("txt", b"This is a verbatim\nstring"),
        b"true" => out.bool(true),
        b"false" => out.bool(false),
        b"bignum" => out.big_number("1234567999999999999999999999999999999"),
        _ => return Err(CommandError::PROTOCOL_TYPE),
    }
    Ok(())
}

/// Redis's double; not meant to be pi.
#[allow(clippy::approx_constant)]
const DOUBLE: f64 = 3.141;

#[cfg(test)]
mod tests {
    use crate::testing::World;

    /// The reply to DEBUG PROTOCOL in RESP2 and in RESP3, as redis-server 7.0 gives them.
    #[track_caller]
    fn check(word: &str, resp2: &str, resp3: &str) {
        let mut world = World::new(2);
        world.cores.iter_mut().for_each(|core| core.config.enable_debug_command = config::Access::Local);
        world.check(&[&format!("DEBUG PROTOCOL {word}")], resp2);
        world.check(&["HELLO 3", &format!("DEBUG PROTOCOL {word}")], resp3);
    }

    #[test]
    fn every_type_is_answered() {
        let same = |word: &str, reply: &str| check(word, reply, reply);
        same("string", "$11 Hello World");
        same("integer", ":12345");
        same("array", "*3 :0 :1 :2");
        check("double", "$5 3.141", ",3.141");
        check("null", "$-1", "_");
        check("set", "*3 :0 :1 :2", "~3 :0 :1 :2");
        check("map", "*6 :0 :0 :1 :1 :2 :0", "%3 :0 #f :1 #t :2 #f");
        check(
            "attrib",
            "$39 Some real reply following the attribute",
            "|1 $14 key-popularity *2 $7 key:123 :90 $39 Some real reply following the attribute",
        );
        check(
            "push",
            "-ERR RESP2 is not supported by this command",
            ">2 $16 server-cpu-usage :42 $40 Some real reply following the push reply",
        );
        check("verbatim", "$25 This is a verbatim\nstring", "=29 txt:This is a verbatim\nstring");
        check("true", ":1", "#t");
        check("false", ":0", "#f");
        let big = "1234567999999999999999999999999999999";
        check("bignum", &format!("$37 {big}"), &format!("({big}"));
        same(
            "float",
            "-ERR Wrong protocol type name. Please use one of the following: string|integer|double|bignum|null|array|set|\
             map|attrib|push|verbatim|true|false",
        );
    }
}

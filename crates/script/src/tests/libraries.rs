//! cjson, cmsgpack, struct and bit.

use super::*;

const AT: &str = "@ @user_script:1.";

#[test]
fn values_become_json() {
    let encoded = |value: &str, expected: &str| {
        check(&format!("return cjson.encode({value})"), &format!("${} {expected}", expected.len()));
    };
    encoded("{1,2,3}", "[1,2,3]");
    encoded("{}", "{}");
    encoded("{a = 1}", "{\"a\":1}");
    encoded("{[1] = 'a', [3] = 'c'}", "[\"a\",null,\"c\"]");
    encoded("'a/\"\\\\\\n\\1\\127é'", "\"a\\/\\\"\\\\\\n\\u0001\\u007fé\"");
    encoded("{true, false, cjson.null}", "[true,false,null]");
    encoded("nil", "null");
    encoded("1.5", "1.5");
    encoded("1e20", "1e+20");
    encoded("12345678901234567890", "1.2345678901235e+19");
    encoded("{[1.5] = 1}", "{\"1.5\":1}");
    encoded("{{{}}}", "[[{}]]");
}

#[test]
fn what_json_cannot_say_is_an_error() {
    let cannot = |value: &str, why: &str| {
        check(
            &format!("return cjson.encode({value})"),
            &format!("-ERR user_script:1: Cannot serialise {why} {AT}"),
        );
    };
    cannot("function() end", "function: type not supported");
    cannot("{[true] = 1}", "boolean: table key must be a number or string");
    cannot("1/0", "number: must not be NaN or Inf");
    cannot("{[1] = 1, [100] = 2}", "table: excessively sparse array");
    check(
        "local t = {} t.t = t return cjson.encode(t)",
        &format!("-ERR user_script:1: Cannot serialise, excessive nesting (1001) {AT}"),
    );
    check(
        "return cjson.encode()",
        &format!("-ERR user_script:1: bad argument #1 to 'encode' (expected 1 argument) {AT}"),
    );
    check(
        "return redis.call('ARGS', pcall(cjson.encode, redis))",
        &format!("-ERR Lua redis lib command arguments must be strings or integers {AT}"),
    );
}

#[test]
fn json_becomes_values() {
    check("return cjson.decode('[1, 2.5, \"x\", [], {}]')", "*5 :1 :2 $1 x *0 *0");
    check("return cjson.decode('{\"a\":{\"b\":7}}').a.b", ":7");
    check("return cjson.decode('null') == cjson.null", ":1");
    check("return cjson.decode('\"\\\\u00e9\\\\ud83d\\\\ude00\\\\n\"')", "$7 é😀\n");
    check("return tostring(cjson.decode('[1e3, 0x10, -1]')[2])", "$2 16");
    check("return tostring(cjson.decode('inf'))", "$3 inf");
    let fails = |text: &str, why: &str| {
        check(&format!("return cjson.decode('{text}')"), &format!("-ERR user_script:1: {why} {AT}"));
    };
    fails("", "Expected value but found T_END at character 1");
    fails("[1,]", "Expected value but found T_ARR_END at character 4");
    fails("[1 2]", "Expected comma or array end but found T_NUMBER at character 4");
    fails("{\"a\" 1}", "Expected colon but found T_NUMBER at character 6");
    fails("{1:1}", "Expected object key string but found T_NUMBER at character 2");
    fails("{\"a\":1", "Expected comma or object end but found T_END at character 7");
    fails("[1]x", "Expected the end but found invalid token at character 4");
    fails("\"a", "Expected value but found unexpected end of string at character 3");
    fails("\"\\\\q\"", "Expected value but found invalid escape code at character 2");
    fails("\"\\\\ud800x\"", "Expected value but found invalid unicode escape code at character 2");
    fails("tru", "Expected value but found invalid token at character 1");
    fails("\\0[]", "JSON parser does not support UTF-16 or UTF-32");
    check(
        "return cjson.decode(('['):rep(1001))",
        &format!("-ERR user_script:1: Found too many nested data structures (1001) at character 1001 {AT}"),
    );
    check(
        "return cjson.decode({})",
        &format!("-ERR user_script:1: bad argument #1 to 'decode' (string expected, got table) {AT}"),
    );
}

#[test]
fn json_settings_are_set_and_answered() {
    check("return {cjson.encode_sparse_array(), cjson.encode_sparse_array(true, 3, 5)}", "*4 $-1 :1 :3 :5");
    check(
        "cjson.encode_sparse_array(true) return cjson.encode({[1] = 1, [100] = 2})",
        "$15 {\"1\":1,\"100\":2}",
    );
    check("cjson.encode_number_precision(3) return cjson.encode(3.14159)", "$4 3.14");
    check(
        "return cjson.encode_number_precision(15)",
        &format!(
            "-ERR user_script:1: bad argument #1 to 'encode_number_precision' (expected integer between 1 and 14) {AT}"
        ),
    );
    check("cjson.encode_invalid_numbers(true) return cjson.encode({1/0, 0/0})", "$9 [inf,nan]");
    check("cjson.encode_invalid_numbers('null') return cjson.encode({1/0})", "$6 [null]");
    check(
        "return cjson.encode_invalid_numbers('x')",
        &format!("-ERR user_script:1: bad argument #1 to 'encode_invalid_numbers' (invalid option 'x') {AT}"),
    );
    check(
        "cjson.decode_invalid_numbers(false) return cjson.decode('0x10')",
        &format!("-ERR user_script:1: Expected value but found invalid number at character 1 {AT}"),
    );
    check(
        "cjson.encode_max_depth(1) return cjson.encode({{}})",
        &format!("-ERR user_script:1: Cannot serialise, excessive nesting (2) {AT}"),
    );
    check(
        "cjson.decode_max_depth(1) return cjson.decode('[[]]')",
        &format!("-ERR user_script:1: Found too many nested data structures (2) at character 2 {AT}"),
    );
    check("return {cjson.encode_keep_buffer(), cjson.encode_keep_buffer('off')}", "*2 :1 $-1");
    check("cjson.new().encode_max_depth(1) return cjson.encode({{}})", "$4 [{}]");
    check(
        "return cjson.encode_max_depth(1, 2)",
        &format!("-ERR user_script:1: bad argument #2 to 'encode_max_depth' (found too many arguments) {AT}"),
    );
}

#[test]
fn values_are_packed_and_unpacked() {
    let packed = |values: &str, expected: &str| {
        let script = format!(
            "return (cmsgpack.pack({values}):gsub('.', function(c) return ('%02x'):format(c:byte()) end))"
        );
        check(&script, &format!("${} {expected}", expected.len()));
    };
    packed("1, -1, 127, 128, 255, 256, 65536, 2^32", "01ff7fcc80ccffcd0100ce00010000cf0000000100000000");
    packed("-32, -33, -129, -32769, -2^31 - 1", "e0d0dfd1ff7fd2ffff7fffd3ffffffff7fffffff");
    packed("1.5, 0.1", "ca3fc00000cb3fb999999999999a");
    packed("'abc', '', nil, true, false", "a3616263a0c0c3c2");
    packed("{1, 2}, {}, {a = 1}, {[2] = 1}", "9201029081a16101810201");
    packed("{{{{{{{{{{{{{{{{{1}}}}}}}}}}}}}}}}}", "91919191919191919191919191919191c0");
    check("return {cmsgpack.unpack(cmsgpack.pack(1, 'a', {b = {2}}, nil, false, 5))}", "*3 :1 $1 a *0");
    check(
        "return cmsgpack.unpack(cmsgpack.pack({1, -1, 300, -300, 70000, -70000, 2^40, -2^40}))",
        "*8 :1 :-1 :300 :-300 :70000 :-70000 :1099511627776 :-1099511627776",
    );
    check("return tostring(cmsgpack.unpack(cmsgpack.pack({a = {b = 1.5}})).a.b)", "$3 1.5");
    check(
        "local p = cmsgpack.pack(1, 2, 3) return {cmsgpack.unpack_one(p), cmsgpack.unpack_one(p, 1), cmsgpack.unpack_one(p, 2)}",
        "*4 :1 :2 :-1 :3",
    );
    check("return {cmsgpack.unpack_limit(cmsgpack.pack(1, 2, 3), 2)}", "*3 :2 :1 :2");
    check("return #cmsgpack.unpack(cmsgpack.pack(('x'):rep(70000)))", ":70000");
}

#[test]
fn what_is_no_message_pack_is_an_error() {
    let fails = |code: &str, why: &str| check(code, &format!("-ERR user_script:1: {why} {AT}"));
    fails("return cmsgpack.pack()", "bad argument #0 to 'pack' (MessagePack pack needs input.)");
    fails("return cmsgpack.unpack('\\145')", "Missing bytes in input.");
    fails("return cmsgpack.unpack('\\163ab')", "Missing bytes in input.");
    fails("return cmsgpack.unpack('\\193')", "Bad data format in input.");
    fails("return cmsgpack.unpack('\\129\\192\\1')", "table index is nil");
    fails("return cmsgpack.unpack_one('a', 5)", "Start offset 5 greater than input length 1.");
    fails(
        "return cmsgpack.unpack_limit('a', -1)",
        "Invalid request to unpack with offset of 0 and limit of 1.",
    );
    fails(
        "return cmsgpack.unpack(('\\145'):rep(100000))",
        "stack overflow (too many return values at once; use unpack_one or unpack_limit instead.)",
    );
}

#[test]
fn c_structures_are_packed_and_unpacked() {
    let packed = |args: &str, expected: &str| {
        let script = format!(
            "return (struct.pack({args}):gsub('.', function(c) return ('%02x'):format(c:byte()) end))"
        );
        check(&script, &format!("${} {expected}", expected.len()));
    };
    packed("'>I2hb', 258, -2, 3", "0102fffe03");
    packed("'<I2', 258", "0201");
    packed("'>i4', -2", "fffffffe");
    packed("'!4bi4', 1, 2", "0100000002000000");
    packed("'>i10', 1", "00000000000000000001");
    packed("'bxb', 1, 2", "010002");
    packed("'s', 'ab'", "616200");
    packed("'c2c0', 'abc', 'de'", "61626465");
    packed("'>fd', 1.5, 1.5", "3fc000003ff8000000000000");
    check("return {struct.unpack('>I2hb', struct.pack('>I2hb', 258, -2, 3))}", "*4 :258 :-2 :3 :6");
    check("return {struct.unpack('bc0', '\\2abc')}", "*2 $2 ab :4");
    check("return {struct.unpack('c1c0', '2abc')}", "*2 $2 ab :4");
    check("return {struct.unpack('I8c0', struct.pack('I8', -1) .. 'ab')}", "*2 $0  :9");
    check("return {struct.unpack('sb', 'ab\\0\\7')}", "*3 $2 ab :7 :5");
    check("return {struct.unpack('b', 'abc', 3)}", "*2 :99 :4");
    check("return {struct.size('!8bd'), struct.size('bHc5'), struct.size('>i3')}", "*3 :16 :8 :3");
    let fails = |code: &str, why: &str| check(code, &format!("-ERR user_script:1: {why} {AT}"));
    fails("return struct.pack('q')", "bad argument #1 to 'pack' (invalid format option 'q')");
    fails("return struct.pack('i33', 1)", "integral size 33 is larger than limit of 32");
    fails("return struct.pack('i99999999999', 1)", "integral size overflow");
    fails("return struct.pack('!3', 1)", "alignment 3 is not a power of 2");
    fails("return struct.pack('c3', 'ab')", "bad argument #3 to 'pack' (string too short)");
    fails("return struct.unpack('i4', 'ab')", "bad argument #2 to 'unpack' (data string too short)");
    fails("return struct.unpack('b', 'a', 0)", "bad argument #3 to 'unpack' (offset must be 1 or greater)");
    fails("return struct.unpack('s', 'ab')", "unfinished string in data");
    fails("return struct.unpack('c0', 'ab')", "format 'c0' needs a previous size");
    fails("return struct.unpack('bc0', '\\9ab')", "bad argument #2 to 'unpack' (data string too short)");
    fails("return struct.size('s')", "bad argument #1 to 'size' (option 's' has no fixed size)");
    fails("return struct.size('c0')", "bad argument #1 to 'size' (option 'c0' has no fixed size)");
}

#[test]
fn bits_are_operated_on() {
    check(
        "return {bit.tobit(2^32 + 5), bit.bnot(0), bit.band(12, 10), bit.bor(12, 10), bit.bxor(12, 10, 1)}",
        "*5 :5 :-1 :8 :14 :7",
    );
    check(
        "return {bit.lshift(1, 31), bit.rshift(-1, 28), bit.arshift(-8, 1), bit.lshift(1, 33)}",
        "*4 :-2147483648 :15 :-4 :2",
    );
    check("return {bit.rol(2^31, 1), bit.ror(1, 1), bit.bswap(1)}", "*3 :1 :-2147483648 :16777216");
    check(
        "return {bit.tohex(255), bit.tohex(255, 4), bit.tohex(255, -4), bit.tohex(-1, 20), bit.tohex(1, 0)}",
        "*5 $8 000000ff $4 00ff $4 00FF $8 ffffffff $0 ",
    );
    check(
        "return bit.band('x')",
        &format!("-ERR user_script:1: bad argument #1 to 'band' (number expected, got string) {AT}"),
    );
}

//! Values of Lua as replies, and replies as values of Lua.

use super::*;

#[test]
fn lua_values_become_replies() {
    check("return 1", ":1");
    check("return 3.99", ":3");
    check("return -3.99", ":-3");
    check("return 1/0", ":-9223372036854775808");
    check("return 'a'", "$1 a");
    check("return true", ":1");
    check("return false", "$-1");
    check("return nil", "$-1");
    check("", "$-1");
    check("return {}", "*0");
    check("return {1,2,nil,4}", "*2 :1 :2");
    check("return {1,{'x',{}}}", "*2 :1 *2 $1 x *0");
    check("return {ok='fine'}", "+fine");
    check("return {ok='a\\r\\nb\\0c'}", "+a  b");
    check("return {err='MY error'}", "-MY error");
    check("return {1, {err='MY error'}}", "*2 :1 -MY error");
    check("return {double=1.5}", "$3 1.5");
    check("return {big_number='123'}", "$3 123");
    check("return {verbatim_string={string='text', format='txt'}}", "$4 text");
    check("return {map={a=1}}", "*2 $1 a :1");
    check("return {set={a=true}}", "*1 $1 a");
    check("return {1,2,3,ok='x'}", "+x");
    check("return {1,2,3,4,5,6,7,8,9,ok='x'}", "+x");
    check("return {1,2,3,4,5,6,7,8,9}", "*9 :1 :2 :3 :4 :5 :6 :7 :8 :9");
    // Among the items that Lua keeps with the fields.
    check("return {ok='x', [1]={255}}", "+x");
    check("return {1, err='MY error', [1]=1, [2]=2}", "-MY error");
    check("return function() end", "$-1");
    check("return cjson.null", "$-1");
}

#[test]
fn lua_values_become_replies_of_resp3() {
    let check = |script: &str, expected: &str| {
        assert_eq!(eval(&mut engine(), script, &[], &[], Proto::Resp3), expected, "{script}");
    };
    check("return nil", "_");
    check("return true", ":1");
    check("return false", "_");
    check("redis.setresp(3) return {true, false}", "*2 #t #f");
    check("return {double=1.5}", ",1.5");
    check("return {big_number='12\\n3'}", "(12 3");
    check("return {verbatim_string={string='text', format='mkd'}}", "=8 mkd:text");
    check("return {map={a=1}}", "%1 $1 a :1");
    check("return {set={a=true}}", "~1 $1 a");
}

#[test]
fn replies_become_lua_values() {
    check("return redis.call('ECHO', 'x')", "$1 x");
    check("return type(redis.call('REPLY', '$-1|'))", "$7 boolean");
    check("return redis.call('REPLY', ':-12|') + 1", ":-11");
    check("return redis.call('REPLY', '+fine|').ok", "$4 fine");
    check("return redis.call('REPLY', '+fine|')", "+fine");
    check("return redis.call('REPLY', '*-1|')", "$-1");
    check("return #redis.call('REPLY', '*3|:1|$1|a|*1|:2|')", ":3");
    check("return redis.call('REPLY', '*3|:1|$1|a|*1|:2|')[3]", "*1 :2");
    check("return redis.call('REPLY', '*3|$-1|$1|a|*0|')[2]", "$1 a");
    check("return redis.call('REPLY', '_|')", "$-1");
    check("return type(redis.call('REPLY', '_|'))", "$3 nil");
    check("return type(redis.call('REPLY', '#t|'))", "$7 boolean");
    check("return tostring(redis.call('REPLY', ',1.5|').double)", "$3 1.5");
    check("return redis.call('REPLY', '(123|').big_number", "$3 123");
    check("return redis.call('REPLY', '%1|$1|a|:1|').map.a", ":1");
    check("return tostring(redis.call('REPLY', '~1|$1|a|').set.a)", "$4 true");
    check("return redis.call('REPLY', '=8|txt:text|').verbatim_string.string", "$4 text");
    check("return redis.call('REPLY', '=8|txt:text|').verbatim_string.format", "$3 txt");
    check("return redis.call('REPLY', string.char(124) .. '1\\r\\n$1\\r\\na\\r\\n:1\\r\\n:7\\r\\n')", ":7");
}

#[test]
fn numbers_are_passed_to_commands_without_loss() {
    check(
        "return redis.call('ARGS', 1, -2, 1.5, 0.1, 1e100, 2^53, 1/3)",
        "+1,-2,1.5,0.1,1e+100,9007199254740992,0.3333333333333333",
    );
    check("return redis.call('ARGS', 'a', '', 'b')", "+a,,b");
}

#[test]
fn the_script_chooses_the_protocol_of_replies() {
    check("return redis.call('PROTO')", "+Resp2");
    check("redis.setresp(3) return redis.call('PROTO')", "+Resp3");
    check("redis.setresp(4)", "-ERR RESP version must be 2 or 3. @ @user_script:1.");
    check("redis.setresp()", "-ERR redis.setresp() requires one argument. @ @user_script:1.");
    let mut engine = engine();
    check_in(&mut engine, "redis.setresp(3) return redis.call('PROTO')", "+Resp3");
    check_in(&mut engine, "return redis.call('PROTO')", "+Resp2");
}

#[test]
fn a_reply_too_deep_for_the_stack_is_an_error_in_its_place() {
    let script = "local t = {} local at = t for i = 1, 9000 do at[1] = {} at = at[1] end return t";
    let reply = eval(&mut engine(), script, &[], &[], Proto::Resp2);
    assert!(reply.ends_with("*1 -ERR reached lua stack limit"), "{}", &reply[reply.len() - 60..]);
    let reply = eval(&mut engine(), "local t = {} t[1] = t return t", &[], &[], Proto::Resp2);
    assert_eq!(reply.matches("*1").count(), 7995, "as in Redis");
}

#[test]
fn line_ends_of_an_error_go_at_its_end_alone() {
    check("return {err = '\\r\\n a\\nb\\r\\n'}", "-   a b");
    check("return {{err = '\\ra'}}", "*1 - a");
}

#[test]
fn errors_of_commands_are_raised_or_returned() {
    check("redis.call('NO')", "-ERR unknown 'NO' @ @user_script:1.");
    check("\n\nredis.call('NO')", "-ERR unknown 'NO' @ @user_script:3.");
    check("return redis.pcall('NO')", "-ERR unknown 'NO'");
    check("return redis.pcall('NO').err", "$16 ERR unknown 'NO'");
    check("return tostring(redis.pcall('NO').ignore_error_stats_update)", "$4 true");
    check("local ok, e = pcall(redis.call, 'NO') return e", "$16 ERR unknown 'NO'");
    check("local t = redis.pcall('NO') error(t)", "-ERR unknown 'NO' @ @user_script:1.");
    check(
        "return redis.call()",
        "-ERR Please specify at least one argument for this redis lib call @ @user_script:1.",
    );
    check("return redis.pcall()", "-ERR Please specify at least one argument for this redis lib call");
    let wrong = "ERR Lua redis lib command arguments must be strings or integers";
    check("redis.call('ECHO', {})", &format!("-{wrong} @ @user_script:1."));
    check("return redis.pcall('ECHO', true)", &format!("-{wrong}"));
}

#[test]
fn a_failed_script_is_named_by_its_digest() {
    let reply = eval(&mut engine(), "return redis.call('nosuch')", &[], &[], Proto::Resp2);
    let place = "script: 5a24f9cd5b4c9a83bd7c7a4b2a3fc8b2a4d9a0f3".len();
    assert_eq!(reply.len(), "-ERR unknown 'nosuch' , on @user_script:1.".len() + place);
    assert!(reply.contains(" script: ") && reply.ends_with(", on @user_script:1."), "{reply}");
}

#[test]
fn whether_an_error_was_counted_is_told() {
    let ended = |script: &str| {
        let mut engine = engine();
        let found = engine.script(script.as_bytes()).expect("a script");
        let none = OwnedArgs::default();
        let mut run = engine.begin(found, none.as_args(), none.as_args(), u64::MAX).expect("memory");
        while run.step() != Step::Ended {
            *run.answer() = b"-ERR no\r\n".to_vec();
            run.resume();
        }
        match engine.finish(run, &mut Reply::new(&mut Vec::new(), Proto::Resp2)) {
            crate::Ended::Well => None,
            crate::Ended::Failed(counted, _) => Some(counted),
        }
    };
    use crate::Counted;
    assert_eq!(ended("return 1"), None);
    assert_eq!(ended("redis.call('x')"), Some(Counted::Yes));
    assert_eq!(ended("return redis.pcall('x')"), Some(Counted::Yes));
    assert_eq!(ended("error('x')"), Some(Counted::No));
    assert_eq!(ended("return {err='x'}"), Some(Counted::No));
}

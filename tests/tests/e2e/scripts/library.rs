//! What scripts and functions are known: to all cores, and by every way in.

use super::server;
use lacewing_tests::{Client, show};

fn clients(server: &lacewing_tests::Server) -> Vec<Client> {
    (0..12).map(|_| server.client()).collect()
}

#[test]
fn scripts_are_known_to_all_cores() {
    for cores in ["1", "4"] {
        let server = server(cores);
        let mut clients = clients(&server);
        let digest = show(&clients[0].call(&["SCRIPT", "LOAD", "return redis.call('INCR', KEYS[1])"]));
        let digest = digest.trim_matches('"').to_owned();
        for (index, client) in clients.iter_mut().enumerate() {
            for key in 0..8 {
                let reply = client.line(&format!("EVALSHA {digest} 1 key:{key}"));
                assert_eq!(reply, format!(":{}", index + 1), "{cores} cores, client {index}, key {key}");
            }
        }
        // What was given to EVAL is known as well.
        clients[1].line("EVAL 'return 7' 0");
        for client in &mut clients {
            assert_eq!(client.line("EVALSHA 8e3d29f5a21b2ad1b5e2d9cf9c1a7e1eb8f1f0fd 0"), NO_SCRIPT);
            assert_eq!(client.line(&format!("SCRIPT EXISTS {digest} 00")), "[:1, :0]");
        }
        assert_eq!(clients[2].line("SCRIPT FLUSH"), "+OK");
        for client in &mut clients {
            assert_eq!(client.line(&format!("EVALSHA {digest} 1 key")), NO_SCRIPT);
        }
    }
}

#[test]
fn libraries_are_not_taken_in_when_memory_is_full() {
    const LIBRARY: &str = "#!lua name=one\nredis.register_function('one', function() return 1 end)";
    const FULL: &str = r"-OOM command not allowed when used memory > \'maxmemory\'.";
    for cores in ["1", "4"] {
        let server = server(cores);
        let mut client = server.client();
        assert_eq!(show(&client.call(&["FUNCTION", "LOAD", LIBRARY])), "\"one\"");
        let dumped = client.call(&["FUNCTION", "DUMP"]);
        let dump = dumped.as_bytes().expect("a dump").to_vec();
        assert_eq!(client.line("FUNCTION FLUSH"), "+OK");
        assert_eq!(client.line("SET fill 1234567890"), "+OK");
        assert_eq!(client.line("CONFIG SET maxmemory 1"), "+OK");
        assert_eq!(show(&client.call(&["FUNCTION", "LOAD", LIBRARY])), FULL, "{cores} cores");
        assert_eq!(show(&client.call(&[b"FUNCTION" as &[u8], b"RESTORE", &dump])), FULL, "{cores} cores");
        assert_eq!(client.line("FUNCTION LIST"), "[]");
        assert_eq!(client.line("FUNCTION FLUSH"), "+OK", "what frees memory is run");
    }
}

#[test]
fn functions_are_known_to_all_cores() {
    const LIBRARY: &str = "#!lua name=counting\nlocal step = 1\n\
        redis.register_function('count', function(keys) return redis.call('INCRBY', keys[1], step) end)\n\
        redis.register_function{function_name='look', callback=function(keys) return redis.call('GET', keys[1]) end, \
        flags={'no-writes'}}";
    for cores in ["1", "4"] {
        let server = server(cores);
        let mut clients = clients(&server);
        assert_eq!(show(&clients[0].call(&["FUNCTION", "LOAD", LIBRARY])), "\"counting\"");
        for (index, client) in clients.iter_mut().enumerate() {
            for key in 0..8 {
                let reply = client.line(&format!("FCALL count 1 key:{key}"));
                assert_eq!(reply, format!(":{}", index + 1), "{cores} cores, client {index}, key {key}");
                assert_eq!(client.line(&format!("FCALL_RO look 1 key:{key}")), format!("\"{}\"", index + 1));
            }
            let refused = "-ERR Can not execute a script with write flag using *_ro command.";
            assert_eq!(client.line("FCALL_RO count 1 key"), refused);
        }
        let dumped = clients[3].call(&["FUNCTION", "DUMP"]);
        let dump = dumped.as_bytes().expect("a dump").to_vec();
        assert_eq!(clients[4].line("FUNCTION DELETE counting"), "+OK");
        for client in &mut clients {
            assert_eq!(client.line("FCALL count 1 key"), "-ERR Function not found");
            assert_eq!(client.line("FUNCTION LIST"), "[]");
        }
        assert_eq!(show(&clients[5].call(&[b"FUNCTION" as &[u8], b"RESTORE", &dump])), "+OK");
        for client in &mut clients {
            assert!(client.line("FCALL count 1 key:0").starts_with(':'), "{cores} cores");
        }
        assert_eq!(clients[6].line("FUNCTION FLUSH"), "+OK");
        for client in &mut clients {
            assert_eq!(client.line("FCALL count 1 key"), "-ERR Function not found");
        }
    }
}

const NO_SCRIPT: &str = "-NOSCRIPT No matching script. Please use EVAL.";

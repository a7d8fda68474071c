use crate::testing::{World, check, check_effects, check_events};
use datatypes::hash::KeepExpiry;
use datatypes::zset::{AddRule, Added};
use datatypes::{HashMut, Kind, Limits, Object, Value, ZSetMut};
use keyspace::{Key, Ttl};
use stdx::DbIndex;

const WRONG: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

fn filled(lines: &[&str]) -> World {
    let mut world = World::new(1);
    for line in lines {
        world.run(line);
    }
    world
}

/// Puts a value under a key.
fn put(world: &mut World, key: &str, value: &Object) {
    let (now, value) = (world.now, Value::Object(value.clone()));
    world.cores[0].keyspace.store(DbIndex(0), Key::new(key.as_bytes()), value, Ttl::Clear, now);
}

fn zset(members: &[(&str, f64)]) -> Object {
    let mut object = Object::new(Kind::ZSet);
    for &(member, score) in members {
        let added =
            ZSetMut::new(&mut object, &Limits::default()).add(member.as_bytes(), score, AddRule::default());
        assert!(matches!(added, Ok(Added::New(_))), "{added:?}");
    }
    object
}

fn hash(fields: &[(&str, &str)]) -> Object {
    let mut object = Object::new(Kind::Hash);
    for (name, value) in fields {
        HashMut::new(&mut object, &Limits::default()).set(name.as_bytes(), value.as_bytes(), KeepExpiry::No);
    }
    object
}

#[test]
fn by_their_own_numbers_or_texts() {
    let push = "RPUSH k 10 9 -2 1.5 1e2 9";
    check(&[push, "SORT k"], "*6 $2 -2 $3 1.5 $1 9 $1 9 $2 10 $3 1e2");
    check(&[push, "SORT k DESC"], "*6 $3 1e2 $2 10 $1 9 $1 9 $3 1.5 $2 -2");
    check(&[push, "SORT k ALPHA"], "*6 $2 -2 $3 1.5 $2 10 $3 1e2 $1 9 $1 9");
    check(&[push, "SORT k DESC ASC"], "*6 $2 -2 $3 1.5 $1 9 $1 9 $2 10 $3 1e2");
    let texts = r#"RPUSH k b "a\x00y" a "a\x00x""#;
    check(&[texts, "SORT k ALPHA LIMIT 0 3"], r"*3 $3 a\x00y $1 a $3 a\x00x");
    check(&[texts, "SORT k ALPHA LIMIT 1 1 DESC"], r"*1 $3 a\x00y");
    check(&["RPUSH k 1 01 1.0", "SORT k"], "*3 $2 01 $1 1 $3 1.0");
    check(&["RPUSH k 1 x", "SORT k"], "-ERR One or more scores can't be converted into double");
    check(&["SORT k"], "*0");
    check(&["SET k v", "SORT k"], WRONG);
}

#[test]
fn a_part_of_them() {
    let push = "RPUSH k 5 3 1 4 2 9 8 7 6 0";
    check(&[push, "SORT k LIMIT 0 2"], "*2 $1 0 $1 1");
    check(&[push, "SORT k LIMIT 4 3 DESC"], "*3 $1 5 $1 4 $1 3");
    check(&[push, "SORT k LIMIT 8 10"], "*2 $1 8 $1 9");
    check(&[push, "SORT k LIMIT 10 10"], "*0");
    check(&[push, "SORT k LIMIT -5 1"], "*1 $1 0");
    check(&[push, "SORT k LIMIT 9 -1"], "*1 $1 9");
    check(&[push, "SORT k LIMIT 3 0"], "*0");
    check(&[push, "SORT k LIMIT 9223372036854775807 9223372036854775807"], "*0");
    check(&[push, "SORT k LIMIT x 1"], "-ERR value is not an integer or out of range");
}

#[test]
fn sources_of_every_kind() {
    check(&["SADD k 3 1 2", "SORT k DESC"], "*3 $1 3 $1 2 $1 1");
    let mut world = World::new(1);
    put(&mut world, "z", &zset(&[("c", 1.0), ("a", 2.0), ("b", 3.0), ("7", 4.0)]));
    world.check(&["SORT z ALPHA"], "*4 $1 7 $1 a $1 b $1 c");
    world.check(&["SORT z BY nosort"], "*4 $1 c $1 a $1 b $1 7");
    world.check(&["SORT z BY nosort DESC LIMIT 1 2"], "*2 $1 b $1 a");
    world.check(&["SORT z BY nosort DESC LIMIT 0 9"], "*4 $1 7 $1 b $1 a $1 c");
    put(&mut world, "h", &hash(&[("f", "v")]));
    world.check(&["SORT h"], WRONG);
    check(&["RPUSH k c a b", "SORT k BY nosort"], "*3 $1 c $1 a $1 b");
    check(&["RPUSH k c a b", "SORT k BY nosort DESC LIMIT 1 2"], "*2 $1 a $1 c");
    check(&["SADD k c a b", "SORT k BY nosort STORE d", "LRANGE d 0 -1"], "*3 $1 a $1 b $1 c");
}

#[test]
fn by_other_keys() {
    let mut world =
        filled(&["RPUSH k 1 2 3 4", "MSET w1 30 w2 20 w3 10 t1 b t2 a t3 c o1 one o2 two", "RPUSH l1 x"]);
    put(&mut world, "h1", &hash(&[("f", "1"), ("g", "x")]));
    put(&mut world, "h2", &hash(&[("f", "-5"), ("g", "y")]));
    world.check(&["SORT k BY w*"], "*4 $1 4 $1 3 $1 2 $1 1");
    world.check(&["SORT k BY w* DESC LIMIT 1 2"], "*2 $1 2 $1 3");
    world.check(&["SORT k BY t* ALPHA"], "*4 $1 4 $1 2 $1 1 $1 3");
    world.check(&["SORT k BY t* ALPHA DESC"], "*4 $1 3 $1 1 $1 2 $1 4");
    world.check(&["SORT k BY h*->f"], "*4 $1 2 $1 3 $1 4 $1 1");
    world.check(&["SORT k BY h*"], "*4 $1 1 $1 2 $1 3 $1 4");
    world.check(&["SORT k BY t*"], "-ERR One or more scores can't be converted into double");
    world.check(&["SORT k GET o* LIMIT 0 3"], "*3 $3 one $3 two $-1");
    world.check(&["SORT k GET # GET h*->g LIMIT 0 3"], "*6 $1 1 $1 x $1 2 $1 y $1 3 $-1");
    world.check(&["SORT k GET l* GET constant LIMIT 0 1"], "*2 $-1 $-1");
    world.check(&["HELLO 3", "SORT k GET x* LIMIT 0 1"], "*1 _");
    world.check(&["SORT k BY nosort BY w*"], "*4 $1 1 $1 2 $1 3 $1 4");
}

#[test]
fn stored_as_a_list() {
    let push = "RPUSH k 3 1 2";
    check(&[push, "SORT k STORE d"], ":3");
    check(&[push, "SORT k STORE d", "LRANGE d 0 -1"], "*3 $1 1 $1 2 $1 3");
    check(&[push, "SET d v EX 100", "SORT k STORE d", "TTL d"], ":-1");
    check(&[push, "SORT k STORE k", "LRANGE k 0 -1"], "*3 $1 1 $1 2 $1 3");
    check(&[push, "SORT k STORE x STORE d", "EXISTS x d"], ":1");
    check(&[push, "SET o1 one", "SORT k GET o* STORE d", "LRANGE d 0 -1"], "*3 $3 one $0  $0 ");
    check(&["RPUSH d v", "SORT k STORE d"], ":0");
    check(&["RPUSH d v", "SORT k STORE d", "EXISTS d"], ":0");
    check(&[push, "SORT k STORE d", "OBJECT ENCODING d"], "$8 listpack");
}

#[test]
fn options_that_are_none() {
    let syntax = "-ERR syntax error";
    for options in ["FOO", "LIMIT 1", "BY", "GET", "STORE", "ASC DESC x"] {
        check(&["SET k v", &format!("SORT k {options}")], syntax);
    }
    check(&["SORT_RO k STORE d"], syntax);
    check(&["RPUSH k 2 1", "SORT_RO k"], "*2 $1 1 $1 2");
    check(&["SORT"], "-ERR wrong number of arguments for 'sort' command");
}

#[test]
fn keys_are_named() {
    check(&["COMMAND GETKEYS SORT k BY w* GET # STORE d"], "*2 $1 k $1 d");
    check(&["COMMAND GETKEYS SORT k BY store STORE d STORE e"], "*2 $1 k $1 e");
    check(&["COMMAND GETKEYS SORT_RO k"], "*1 $1 k");
}

#[test]
fn stores_are_told() {
    check_effects(&["RPUSH k 2 1", "SORT k STORE d"], "RPUSH d 1 2");
    check_effects(&["RPUSH k 2 1", "SET d v", "SORT k STORE d"], "DEL d | RPUSH d 1 2");
    check_effects(&["SET d v", "SORT k STORE d"], "DEL d");
    check_effects(&["RPUSH k 2 1", "SORT k"], "");
    check_events(&["RPUSH k 2 1", "SORT k STORE d"], "sortstore:d");
    check_events(&["SET d v", "SORT k STORE d"], "del:d");
    check_events(&["SORT k STORE d"], "");
    let mut world = filled(&["RPUSH k 2 1 3", "SORT k STORE d"]);
    assert_eq!(world.cores[0].keyspace.stats.dirty, 3 + 3);
    world.run("SORT x STORE d");
    assert_eq!(world.cores[0].keyspace.stats.dirty, 3 + 3 + 1);
}

"""redis-py against a running server: `redis_py.py PORT UNIXSOCKET [PASSWORD]`.

Prints the name of each case before it runs; ends with `all passed`, or with the traceback of what failed.
"""

import sys
import threading
import time

import redis
from redis.backoff import NoBackoff
from redis.cache import CacheConfig
from redis.retry import Retry

PORT, UNIX = int(sys.argv[1]), sys.argv[2]
PASSWORD = sys.argv[3] if len(sys.argv) > 3 else None
CASES = []


def case(function):
    CASES.append(function)
    return function


def connect(protocol, **more):
    options = {"protocol": protocol, "password": PASSWORD, "decode_responses": True, "socket_timeout": 20, **more}
    return redis.Redis(host="127.0.0.1", port=PORT, **options)


def raises(kind, text, function, *args, **more):
    try:
        answer = function(*args, **more)
    except redis.RedisError as error:
        assert type(error) is kind, f"{type(error)} and not {kind}: {error}"
        assert text in str(error), f"{error} does not have: {text}"
        return
    raise AssertionError(f"answered {answer!r} and not {kind}: {text}")


@case
def names_itself_and_its_library(client, protocol):
    with connect(protocol, client_name="reporting", single_connection_client=True) as named:
        info = named.client_info()
        assert info["name"] == "reporting", info
        assert info["lib-name"] == "redis-py", info
        assert info["lib-ver"] == redis.__version__, info
        assert info["resp"] == str(protocol), info
        assert named.client_id() == int(info["id"])
        assert [row["name"] for row in client.client_list(client_id=[info["id"]])] == ["reporting"]


@case
def strings_keep_their_bytes_and_options(client, protocol):
    raw = connect(protocol, decode_responses=False)
    every_byte = bytes(range(256)) * 5000
    assert raw.set("bytes", every_byte) is True
    assert raw.get("bytes") == every_byte
    assert raw.getrange("bytes", 1, 3) == b"\1\2\3"
    assert client.get("none") is None
    assert client.set("s", "1", nx=True) is True
    assert client.set("s", "2", nx=True) is None
    assert client.set("s", "2", xx=True, get=True) == "1"
    assert client.append("s", "3") == 2
    assert client.incr("s") == 24
    assert client.incrbyfloat("s", 0.5) == 24.5
    assert client.getdel("s") == "24.5"
    assert client.mset({"a": 1, "b": 2, "c": 3}) is True
    assert client.mget("a", "none", "c") == ["1", None, "3"]
    assert client.msetnx({"c": 4, "d": 4}) is False
    assert client.setrange("a", 3, "x") == 4
    assert client.strlen("a") == 4
    assert client.lcs("a", "b") == ""
    client.set("left", "ohmytext")
    client.set("right", "mynewtext")
    assert client.lcs("left", "right", len=True) == 6


@case
def keys_and_expiry(client, protocol):
    client.set("k", "v", ex=100)
    assert 99 <= client.ttl("k") <= 100
    assert client.expire("k", 50, gt=True) is False
    assert client.pexpire("k", 200_000, gt=True) is True
    assert 199_000 <= client.pttl("k") <= 200_000
    assert client.expiretime("k") * 1000 <= client.pexpiretime("k") + 999
    assert client.persist("k") is True
    assert client.ttl("k") == -1
    assert client.ttl("none") == -2
    assert client.getex("k", px=90_000) == "v"
    assert client.rename("k", "k2") is True
    assert client.copy("k2", "k3") is True
    assert client.exists("k", "k2", "k3", "k3") == 3
    assert client.touch("k2", "k3") == 2
    assert client.type("k2") == "string"
    assert client.object("encoding", "k2") == "embstr"
    assert client.move("k3", 5) is True
    assert client.unlink("k2", "k3") == 1
    assert client.randomkey() is None
    assert client.dbsize() == 0
    with connect(protocol, db=5) as other:
        assert other.keys() == ["k3"]
        assert other.flushdb() is True


@case
def scan_iterators_see_every_key(client, protocol):
    client.mset({f"user:{number}": number for number in range(2000)})
    client.mset({f"session:{number}": number for number in range(500)})
    assert set(client.scan_iter(match="user:*", count=100)) == {f"user:{number}" for number in range(2000)}
    assert len(set(client.scan_iter(_type="string"))) == 2500
    assert client.keys("session:49?") and client.dbsize() == 2500
    cursor, keys = client.scan(0, count=10)
    assert isinstance(cursor, int) and cursor > 0 and keys


@case
def pipelines(client, protocol):
    with client.pipeline(transaction=False) as pipe:
        for number in range(10_000):
            pipe.set(f"p:{number}", number)
        for number in range(10_000):
            pipe.get(f"p:{number}")
        answers = pipe.execute()
    assert answers == [True] * 10_000 + [str(number) for number in range(10_000)]
    with client.pipeline(transaction=False) as pipe:
        pipe.set("word", "x").incr("word").get("word")
        ok, error, word = pipe.execute(raise_on_error=False)
    assert ok is True and word == "x"
    assert type(error) is redis.ResponseError and "not an integer" in str(error), error


@case
def information_and_configuration(client, protocol):
    client.set("k", "v", ex=100)
    info = client.info()
    assert info["redis_version"].startswith("7."), info["redis_version"]
    assert info["tcp_port"] == PORT
    assert info["db0"]["keys"] == 1 and info["db0"]["expires"] == 1
    assert info["connected_clients"] >= 1 and info["used_memory"] > 0
    assert client.info("commandstats")["cmdstat_set"]["calls"] >= 1
    assert client.config_get("maxmemory-p*") == {"maxmemory-policy": "noeviction"}
    assert client.config_set("maxmemory-policy", "allkeys-lru", "slowlog-max-len", 64) is True
    assert client.config_get("slowlog-max-len", "maxmemory-policy") == {
        "slowlog-max-len": "64",
        "maxmemory-policy": "allkeys-lru",
    }
    assert client.config_set("maxmemory-policy", "noeviction") is True
    assert client.config_resetstat() is True
    assert client.ping() is True and client.echo("x") == "x"
    assert len(client.time()) == 2
    assert client.command_count() == len(client.command())
    assert "get" in client.command_list()
    assert client.command_getkeys("MSET", "a", 1, "b", 2) == ["a", "b"]
    assert client.memory_usage("k") > 0
    assert isinstance(client.memory_stats(), dict)


@case
def slow_log_tells_time_and_arguments(client, protocol):
    client.slowlog_reset()
    client.config_set("slowlog-log-slower-than", 0)
    client.set("slow", "x")
    client.config_set("slowlog-log-slower-than", 10_000)
    commands = [entry["command"] for entry in client.slowlog_get(10)]
    assert any(command in (b"SET slow x", "SET slow x") for command in commands), commands
    assert client.slowlog_len() == len(commands)


@case
def killed_connection_is_made_anew(client, protocol):
    with connect(protocol, single_connection_client=True, retry=Retry(NoBackoff(), 1)) as victim:
        first = victim.client_id()
        assert client.client_kill_filter(_id=first) == 1
        assert victim.client_id() > first
    with connect(protocol, single_connection_client=True, retry=Retry(NoBackoff(), 0)) as victim:
        assert client.client_kill_filter(_id=victim.client_id()) == 1
        try:
            victim.get("x")
            raise AssertionError("a killed connection answered")
        except redis.ConnectionError:
            pass
        assert victim.ping() is True


@case
def pool_serves_many_threads(client, protocol):
    pool = redis.BlockingConnectionPool(
        host="127.0.0.1", port=PORT, password=PASSWORD, protocol=protocol, max_connections=8, timeout=20
    )
    failures = []

    def work():
        try:
            mine = redis.Redis(connection_pool=pool)
            for _ in range(100):
                mine.incr("counter")
        except Exception as error:  # reported by the main thread
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
    assert client.get("counter") == "1600"
    pool.disconnect()


@case
def unix_socket(client, protocol):
    with redis.Redis(unix_socket_path=UNIX, password=PASSWORD, protocol=protocol, decode_responses=True) as local:
        assert local.set("over", "unix") is True
        assert client.get("over") == "unix"
        assert local.client_info()["addr"].endswith(".sock:0")


@case
def error_classes(client, protocol):
    client.set("word", "x")
    raises(redis.ResponseError, "value is not an integer or out of range", client.incr, "word")
    raises(redis.ResponseError, "unknown command 'NOSUCH'", client.execute_command, "NOSUCH")
    raises(redis.ResponseError, "wrong number of arguments for 'get' command", client.execute_command, "GET")
    raises(redis.ResponseError, "syntax error", client.execute_command, "SET", "a", "b", "MAYBE")
    raises(redis.ResponseError, "no such key", client.rename, "none", "other")
    raises(redis.ResponseError, "Unknown option", client.config_set, "no-such-parameter", 1)
    client.config_set("maxmemory", 1)
    try:
        raises(redis.exceptions.OutOfMemoryError, "command not allowed when used memory", client.set, "a", "b")
        assert client.get("word") == "x"
    finally:
        client.config_set("maxmemory", 0)
    wrong = connect(protocol, password="wrong" if PASSWORD else None)
    if PASSWORD:
        raises(redis.AuthenticationError, "invalid username-password pair", wrong.ping)
        none = connect(protocol, password=None)
        raises(redis.AuthenticationError, "uthenticat", none.get, "x")
        with connect(protocol, username="default") as named:
            assert named.acl_whoami() == "default"


def eventually(condition, what):
    """Messages come on a connection of their own, so a moment after the writer's reply."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what


@case
def caches_on_its_side(client, protocol):
    if protocol != 3:
        return
    # It wants a server that says 7.4, though all that it uses came with 6.0.
    redis.connection.CacheProxyConnection.MIN_ALLOWED_VERSION = "7.2.0"
    with connect(3, cache_config=CacheConfig()) as caching:
        cache = caching.get_cache()
        keys = [f"cached:{number}" for number in range(40)]
        client.mset(dict.fromkeys(keys, "old"))
        for number in (1, 2):
            assert [caching.get(key) for key in keys] == ["old"] * 40, number
        assert cache.size == 40, cache.size
        reads = client.info("commandstats")["cmdstat_get"]["calls"]
        assert caching.get(keys[0]) == "old"
        assert client.info("commandstats")["cmdstat_get"]["calls"] == reads, "it was read from the cache"
        client.mset(dict.fromkeys(keys, "new"))
        for key in keys:
            eventually(lambda: caching.get(key) == "new", key)
        assert caching.hgetall("cached:none") == {}
        client.hset("cached:none", "f", "v")
        eventually(lambda: caching.hgetall("cached:none") == {"f": "v"}, "a hash that was not there")
        client.flushdb()
        eventually(lambda: caching.get(keys[1]) is None, "flushed")


@case
def asked_to_wait_and_to_keep_quiet(client, protocol):
    assert client.client_pause(50, all=False) is True
    assert client.set("after", "pause") is True
    assert client.client_unpause()
    assert client.client_no_evict("ON") in (True, "OK")
    assert client.client_no_touch("ON") in (True, "OK")
    assert client.client_getname() is None
    assert client.client_setname("later") is True
    assert client.client_getname() == "later"


def main():
    for protocol in (2, 3):
        for function in CASES:
            print(f"RESP{protocol}: {function.__name__}", flush=True)
            with connect(protocol) as client:
                client.flushall()
                function(client, protocol)
    print("all passed")


main()

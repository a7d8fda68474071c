#!/usr/bin/env python3
"""Runs test suites of Redis, written in Tcl, against Lacewing, but for the tests in `known.txt`, and says which fail.

    run.py CHECKOUT [--server PATH] [--cores N] [--own] [--known] [--redis] UNIT...

CHECKOUT is a checkout of Redis 7.0 or 7.2; nothing is written there. By default each unit runs against one server, as the
suites' own external mode does. With --own the suite starts its servers, each with the settings that its tests want: so run
also those that are marked `external:skip`. What Lacewing refuses of these settings is left out. With --known the tests in
`known.txt` run, too. Without units: all that are not about replication, persistence, ACL, TLS or cluster.
"""

import argparse
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
UNITS = (
    "type/string type/incr type/list type/list-2 type/list-3 type/set type/zset type/hash type/stream type/stream-cgroups "
    "auth bitfield bitops client-eviction dump expire functions geo hyperloglog info info-command introspection "
    "introspection-2 keyspace latency-monitor lazyfree limits maxmemory multi networking obuf-limits other pause "
    "pendingquerybuf protocol pubsub pubsubshard querybuf quit replybufsize scan scripting slowlog sort tracking violations"
).split()

# Directives of the suites' configuration that Lacewing refuses, since it does not do what they ask for.
REFUSED = ("enable-module-command", "shutdown-on-sig")

# A stand-in for redis-server: says what the suite waits for, and becomes Lacewing. The suite may send commands when it reads that
# connections are accepted, so that is said when commands are answered. The file is that which the suite starts it with again, so
# that what CONFIG REWRITE has written counts.
SHIM = """#!/bin/sh
conf=$1; shift
sed -i -E '/^({refused})/d' "$conf"
port=$(sed -n 's/^port //p' "$conf" | tail -1)
echo "1:M # PID: $$ Server initialized"
(
    until [ "${{port:-0}}" = 0 ] || redis-cli -p "$port" PING 2>&1 | grep -qE '^(PONG|NOAUTH|DENIED|MASTERDOWN)'; do
        kill -0 $$ || exit
        sleep 0.05
    done
    echo "Ready to accept connections"
) &
exec {server} "$conf" --cores {cores} --pin no "$@"
"""


def version(checkout):
    """Of which Redis the checkout is: `7.0`, `7.2`."""
    return re.search(r'VERSION "(\d+\.\d+)', (checkout / "src" / "version.h").read_text()).group(1)


def known(unit, version, cores):
    """The names of a unit's tests that are known to fail, in this version of the suite and on so many cores."""
    lines = (HERE / "known.txt").read_text().splitlines()
    heads = [f"{unit}: ", f"{unit} ({version}): "] + [f"{unit} (several cores): "] * (cores > 1)
    return [line.removeprefix(head) for head in heads for line in lines if line.startswith(head)]


def prepare(checkout, server, cores):
    """A copy of the suite in a directory of its own."""
    suite = pathlib.Path(tempfile.mkdtemp(prefix="redis-suite-"))
    shutil.copytree(checkout / "tests", suite / "tests")
    shutil.copy(checkout / "runtest", suite)
    (suite / "src").mkdir()
    for source in ("help.h", "commands"):
        if (checkout / "src" / source).is_dir():
            shutil.copytree(checkout / "src" / source, suite / "src" / source)
        elif (checkout / "src" / source).exists():
            shutil.copy(checkout / "src" / source, suite / "src")
    for program in ("redis-cli", "redis-benchmark"):
        if path := shutil.which(program):
            (suite / "src" / program).symlink_to(path)
    shim = suite / "src" / "redis-server"
    shim.write_text(SHIM.format(refused="|".join(REFUSED), server=server, cores=cores))
    shim.chmod(0o755)
    # In external mode, a setting that the server refuses ends the whole unit; here only the tests that need it fail.
    file = suite / "tests" / "support" / "server.tcl"
    text = file.read_text()
    setting, putting_back = "        r config set $param $val\n\n", "        r config set $param $val\n    }"
    text = text.replace(setting, "        if {[catch {r config set $param $val}]} continue\n\n", 1)
    text = text.replace(putting_back, "        catch {r config set $param $val}\n    }", 1)
    file.write_text(text)
    # It asks for the debugger outside of all tests, and a refusal would end the unit.
    file = suite / "tests" / "unit" / "scripting.tcl"
    file.write_text(file.read_text().replace("    r script debug sync\n", "    catch {r script debug sync}\n"))
    return suite


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(port):
    """Until commands are answered: a server may load before."""
    for _ in range(300):
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as connection:
                connection.sendall(b"PING\r\n")
                if connection.recv(16).startswith(b"+PONG"):
                    return
        except OSError:
            pass
        time.sleep(0.1)
    sys.exit(f"nobody answers on port {port}")


def run(suite, unit, options, base):
    """One unit: the names of the tests that passed, of those that failed and of those left out, and why it stopped if it did."""
    command = ["./runtest", "--single", f"unit/{unit}", "--durable", "--clients", "1"]
    command += ["--baseport", str(base), "--portcount", "500"]
    server = None
    if not options.own:
        port = free_port()
        data = suite / f"data-{port}"
        data.mkdir()
        if options.redis:
            arguments = ["redis-server", "--enable-protected-configs", "yes", "--enable-module-command", "yes", "--save", ""]
        else:
            arguments = [options.server, "--cores", str(options.cores), "--pin", "no"]
        arguments += ["--port", str(port), "--dir", str(data), "--enable-debug-command", "yes"]
        server = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        wait_for(port)
        command += ["--host", "127.0.0.1", "--port", str(port)]
    for name in [] if options.known or options.redis else known(unit, options.version, options.cores):
        command += ["--skiptest", name]
    # Redis 7.0 has other encodings for small lists and sets; its tests of encodings are those of 7.2.
    if options.version == "7.0" and not options.redis:
        command.append("--ignore-encoding")
    # A group of its own: what the suite started must not outlive it, and hold its ports.
    suite_run = subprocess.Popen(
        command, cwd=suite, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        bytes = suite_run.communicate(timeout=options.timeout)[0]
    except subprocess.TimeoutExpired:
        os.killpg(suite_run.pid, signal.SIGKILL)
        bytes = suite_run.communicate()[0] + b"\n[exception]: it took too long"
    finally:
        if server:
            server.terminate()
            server.wait()
    text = bytes.decode(errors="replace")
    text = re.sub(r"\x1b\[[0-9;]*m", "", text).split("The End")[0]
    passed = re.findall(r"^\[ok\]: (.*?)(?: \(\d+ ms\))?$", text, re.M)
    failed = re.findall(r"^\[err\]: (.*?)(?: in tests/unit/.*)?\n(.*)", text, re.M)
    listed = re.findall(r"^\[skip\]: (.*)", text, re.M)
    stopped = re.findall(r"^\[exception\]: (.*)", text, re.M)
    return passed, failed, listed, stopped


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=pathlib.Path)
    parser.add_argument("units", nargs="*", default=UNITS)
    parser.add_argument("--server", default=str(HERE.parent.parent / "target" / "release" / "lacewing"))
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--own", action="store_true")
    parser.add_argument("--known", action="store_true")
    parser.add_argument("--redis", action="store_true")
    parser.add_argument("--names", action="store_true", help="names the tests that pass, too")
    parser.add_argument("--timeout", type=int, default=900, help="seconds for one unit")
    options = parser.parse_intermixed_args()
    options.server = os.path.abspath(options.server)
    options.version = version(options.checkout)
    suite, found = prepare(options.checkout, options.server, options.cores), 0
    for number, unit in enumerate(options.units):
        unit = unit.removeprefix("unit/")
        # Two runs at a time should not want the same ports.
        base = 10000 + (os.getpid() + number) % 30 * 500
        passed, failed, listed, stopped = run(suite, unit, options, base)
        if not passed and not failed and not listed and not stopped:
            print(f"{unit}: no test of it is for a server that the suite did not start")
            continue
        found += len(failed) + len(stopped)
        print(f"{unit}: {len(passed)} passed, {len(failed)} failed, {len(listed)} listed", flush=True)
        for name in passed if options.names else []:
            print(f"    ok: {name}")
        for name, why in failed:
            print(f"    {name}\n        {why[:300]}")
        for why in stopped:
            print(f"    stopped: {why[:300]}")
    shutil.rmtree(suite)
    sys.exit(found > 0)


if __name__ == "__main__":
    main()

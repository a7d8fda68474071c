// ioredis against a running server: `node ioredis.js PORT UNIXSOCKET [PASSWORD]`.
'use strict';

const { once } = require('node:events');
const Redis = require('ioredis');
const { assert, main, rejects, run, target } = require('./check.js');

const { ReplyError } = Redis;

function connect(more = {}) {
  const { host, port, password } = target;
  return new Redis({ host, port, password, retryStrategy: () => 10, ...more });
}

const client = connect();

const cases = {
  async 'names itself'() {
    const named = connect({ connectionName: 'reporting' });
    assert.equal(await named.client('GETNAME'), 'reporting');
    const info = await named.client('INFO');
    assert.match(info, / name=reporting /);
    assert.match(info, /lib-name=ioredis/);
    named.disconnect();
  },

  async 'strings keep their bytes and options'() {
    const bytes = Buffer.from(Array.from({ length: 1 << 20 }, (_, index) => index & 255));
    assert.equal(await client.set('bytes', bytes), 'OK');
    assert.deepEqual(await client.getBuffer('bytes'), bytes);
    assert.equal(await client.get('none'), null);
    assert.equal(await client.set('s', '1', 'EX', 100, 'NX'), 'OK');
    assert.equal(await client.set('s', '2', 'NX'), null);
    assert.equal(await client.set('s', '2', 'XX', 'GET'), '1');
    assert.equal(await client.incrby('s', 40), 42);
    assert.equal(await client.incrbyfloat('s', 0.5), '42.5');
    assert.equal(await client.mset({ a: 1, b: 2, c: 3 }), 'OK');
    assert.deepEqual(await client.mget('a', 'none', 'c'), ['1', null, '3']);
    assert.equal(await client.msetnx('c', 4, 'd', 4), 0);
    assert.equal(await client.getdel('s'), '42.5');
  },

  async 'keys and expiry'() {
    await client.set('k', 'v', 'PX', 100_000);
    const left = await client.pttl('k');
    assert.ok(left > 90_000 && left <= 100_000, left);
    assert.equal(await client.expire('k', 50, 'GT'), 0);
    assert.equal(await client.persist('k'), 1);
    assert.equal(await client.rename('k', 'k2'), 'OK');
    assert.equal(await client.copy('k2', 'k3'), 1);
    assert.equal(await client.exists('k', 'k2', 'k3'), 2);
    assert.equal(await client.type('k2'), 'string');
    assert.equal(await client.object('ENCODING', 'k2'), 'embstr');
    assert.equal(await client.unlink('k2', 'k3'), 2);
    const other = connect({ db: 5 });
    await other.set('fifth', 1);
    assert.equal(await client.exists('fifth'), 0);
    assert.equal(await other.flushdb(), 'OK');
    other.disconnect();
  },

  async 'scan stream sees every key'() {
    const wanted = new Set();
    const pairs = new Map();
    for (let index = 0; index < 2000; index += 1) {
      wanted.add(`user:${index}`);
      pairs.set(`user:${index}`, index).set(`session:${index}`, index);
    }
    await client.mset(pairs);
    const seen = new Set();
    for await (const keys of client.scanStream({ match: 'user:*', count: 100, type: 'string' })) {
      keys.forEach((key) => seen.add(key));
    }
    assert.deepEqual(seen, wanted);
  },

  async 'pipelines'() {
    const pipe = client.pipeline();
    for (let index = 0; index < 5000; index += 1) pipe.set(`p:${index}`, index).get(`p:${index}`);
    const answers = await pipe.exec();
    assert.equal(answers.length, 10_000);
    answers.forEach(([error, answer], index) => {
      assert.equal(error, null);
      assert.equal(answer, index % 2 ? String((index - 1) / 2) : 'OK');
    });
    const mixed = await client.pipeline().set('word', 'x').incr('word').get('word').exec();
    assert.ok(mixed[1][0] instanceof ReplyError);
    assert.deepEqual([mixed[0][1], mixed[2][1]], ['OK', 'x']);
    const automatic = connect({ enableAutoPipelining: true });
    const gets = await Promise.all(Array.from({ length: 1000 }, (_, index) => automatic.get(`p:${index}`)));
    assert.deepEqual(gets, Array.from({ length: 1000 }, (_, index) => String(index)));
    automatic.disconnect();
  },

  async 'information and configuration'() {
    assert.match(await client.info(), /redis_version:7\./);
    assert.deepEqual(await client.config('GET', 'maxmemory-policy'), ['maxmemory-policy', 'noeviction']);
    assert.equal(await client.config('SET', 'slowlog-max-len', '64'), 'OK');
    assert.equal((await client.config('GET', 'slowlog-max-len'))[1], '64');
    assert.equal(await client.command('COUNT'), (await client.command()).length);
    assert.equal((await client.time()).length, 2);
    assert.match(await client.client('LIST'), /addr=127\.0\.0\.1/);
  },

  async 'killed connection is made anew'() {
    const victim = connect();
    victim.on('error', () => {});
    const first = await victim.client('ID');
    const ready = once(victim, 'close').then(() => once(victim, 'ready'));
    assert.equal(await client.client('KILL', 'ID', first), 1);
    await ready;
    assert.ok(await victim.client('ID') > first);
    victim.disconnect();
  },

  async 'unix socket'() {
    const { unix: path, password } = target;
    const local = new Redis({ path, password });
    assert.equal(await local.set('over', 'unix'), 'OK');
    assert.equal(await client.get('over'), 'unix');
    local.disconnect();
  },

  async 'many connections count to the same number'() {
    const all = Array.from({ length: 16 }, () => connect());
    await Promise.all(all.flatMap((one) => Array.from({ length: 100 }, () => one.incr('counter'))));
    assert.equal(await client.get('counter'), '1600');
    all.forEach((one) => one.disconnect());
  },

  async 'errors'() {
    await client.set('word', 'x');
    await rejects(ReplyError, 'ERR value is not an integer or out of range', client.incr('word'));
    await rejects(ReplyError, "ERR unknown command 'NOSUCH'", client.call('NOSUCH'));
    await rejects(ReplyError, "wrong number of arguments for 'get' command", client.call('GET'));
    await rejects(ReplyError, 'ERR no such key', client.rename('none', 'other'));
    if (target.password) {
      const wrong = connect({ password: 'wrong', retryStrategy: null, maxRetriesPerRequest: 0 });
      const [error] = await once(wrong, 'error');
      assert.match(error.message, /WRONGPASS/);
      wrong.disconnect();
      const none = connect({ password: undefined, enableReadyCheck: false });
      none.on('error', () => {});
      await rejects(ReplyError, 'NOAUTH', none.get('x'));
      none.disconnect();
    }
  },

  async 'quit is answered'() {
    const leaving = connect();
    assert.equal(await leaving.quit(), 'OK');
  },
};

main(async () => {
  await client.flushall();
  await run('ioredis', cases);
});

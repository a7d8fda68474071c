// node-redis against a running server: `node node_redis.js PORT UNIXSOCKET [PASSWORD]`.
'use strict';

const { createClient, createClientPool, ErrorReply } = require('redis');
const { assert, main, rejects, run, target } = require('./check.js');

function options(more = {}) {
  const { host, port, password } = target;
  return { socket: { host, port, reconnectStrategy: 10 }, password, ...more };
}

async function connect(more) {
  const client = createClient(options(more));
  client.on('error', () => {});
  return client.connect();
}

function casesOf(client, RESP) {
  return {
    async 'names itself and its library'() {
      const named = await connect({ RESP, name: 'reporting', clientInfoTag: 'tag' });
      const info = await named.clientInfo();
      assert.equal(info.name, 'reporting');
      assert.equal(info.libName, 'node-redis(tag)');
      assert.equal(info.resp, RESP);
      named.destroy();
    },

    async 'strings keep their options'() {
      assert.equal(await client.get('none'), null);
      assert.equal(await client.set('s', '1', { EX: 100, NX: true }), 'OK');
      assert.equal(await client.set('s', '2', { NX: true }), null);
      assert.equal(await client.set('s', '2', { XX: true, GET: true }), '1');
      assert.equal(await client.incrBy('s', 40), 42);
      assert.equal(Number(await client.incrByFloat('s', 0.5)), 42.5);
      assert.equal(await client.mSet({ a: '1', b: '2', c: '3' }), 'OK');
      assert.deepEqual(await client.mGet(['a', 'none', 'c']), ['1', null, '3']);
      assert.equal(Number(await client.mSetNX({ c: '4', d: '4' })), 0);
      assert.equal(await client.getEx('s', { type: 'PX', value: 90_000 }), '42.5');
      assert.equal(await client.getDel('s'), '42.5');
      const big = 'ü'.repeat(1 << 20);
      await client.set('big', big);
      assert.equal(await client.get('big'), big);
    },

    async 'keys and expiry'() {
      await client.set('k', 'v', { PX: 100_000 });
      const left = await client.pTTL('k');
      assert.ok(left > 90_000 && left <= 100_000, left);
      assert.equal(Number(await client.expire('k', 50, 'GT')), 0);
      assert.equal(Number(await client.persist('k')), 1);
      assert.equal(await client.rename('k', 'k2'), 'OK');
      assert.equal(Number(await client.copy('k2', 'k3')), 1);
      assert.equal(await client.exists(['k', 'k2', 'k3']), 2);
      assert.equal(await client.type('k2'), 'string');
      assert.equal(await client.objectEncoding('k2'), 'embstr');
      assert.equal(await client.unlink(['k2', 'k3']), 2);
    },

    async 'scan iterator sees every key'() {
      const wanted = new Set();
      const pairs = {};
      for (let index = 0; index < 2000; index += 1) {
        wanted.add(`user:${index}`);
        pairs[`user:${index}`] = pairs[`session:${index}`] = String(index);
      }
      await client.mSet(pairs);
      const seen = new Set();
      for await (const keys of client.scanIterator({ MATCH: 'user:*', COUNT: 100, TYPE: 'string' })) {
        [keys].flat().forEach((key) => seen.add(key));
      }
      assert.deepEqual(seen, wanted);
    },

    async 'pipelines'() {
      const indexes = Array.from({ length: 5000 }, (_, index) => String(index));
      await Promise.all(indexes.map((index) => client.set(`p:${index}`, index)));
      assert.deepEqual(await Promise.all(indexes.map((index) => client.get(`p:${index}`))), indexes);
      const answers = await client.multi().set('x', '1').incr('x').get('x').execAsPipeline();
      assert.deepEqual(answers, ['OK', 2, '2']);
    },

    async 'information and configuration'() {
      assert.match(await client.info(), /redis_version:7\./);
      assert.deepEqual({ ...await client.configGet('maxmemory-policy') }, { 'maxmemory-policy': 'noeviction' });
      assert.equal(await client.configSet('slowlog-max-len', '64'), 'OK');
      assert.equal((await client.configGet('slowlog-max-len'))['slowlog-max-len'], '64');
      assert.equal(await client.commandCount(), (await client.command()).length);
      assert.ok((await client.clientList()).some((row) => row.id));
      assert.ok(await client.memoryUsage('x') > 0);
      assert.equal(typeof await client.memoryDoctor(), 'string');
      assert.equal(await client.dbSize() > 0, true);
    },

    async 'killed connection is made anew'() {
      const victim = await connect({ RESP });
      const first = await victim.clientId();
      const ready = new Promise((resolve) => { victim.once('ready', resolve); });
      assert.equal(await client.clientKill({ filter: 'ID', id: first }), 1);
      await ready;
      assert.ok(await victim.clientId() > first);
      victim.destroy();
    },

    async 'pool counts to the right number'() {
      const pool = createClientPool(options({ RESP }), { minimum: 2, maximum: 8 });
      await pool.connect();
      await Promise.all(Array.from({ length: 1000 }, () => pool.incr('counter')));
      assert.equal(await client.get('counter'), '1000');
      await pool.close();
    },

    async 'unix socket'() {
      const local = await connect({ RESP, socket: { path: target.unix } });
      assert.equal(await local.set('over', 'unix'), 'OK');
      assert.equal(await client.get('over'), 'unix');
      local.destroy();
    },

    async 'errors'() {
      await client.set('word', 'x');
      await rejects(ErrorReply, 'ERR value is not an integer or out of range', client.incr('word'));
      await rejects(ErrorReply, "ERR unknown command 'NOSUCH'", client.sendCommand(['NOSUCH']));
      await rejects(ErrorReply, "wrong number of arguments for 'get' command", client.sendCommand(['GET']));
      await rejects(ErrorReply, 'ERR no such key', client.rename('none', 'other'));
      if (target.password) {
        const wrong = createClient(options({ RESP, password: 'wrong', socket: { ...options().socket, reconnectStrategy: false } }));
        wrong.on('error', () => {});
        await assert.rejects(wrong.connect(), /WRONGPASS/);
      }
    },
  };
}

main(async () => {
  for (const RESP of [2, 3]) {
    const client = await connect({ RESP });
    await client.flushAll();
    await run(`node-redis, RESP${RESP}`, casesOf(client, RESP));
    await client.close();
  }
});

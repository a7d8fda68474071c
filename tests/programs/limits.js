// Locks, rate limiters and a session store against a running server: `limits.js PORT UNIXSOCKET [PASSWORD]`.
//
// redlock, rate-limiter-flexible and connect-redis as programs use them. Prints the name of each case before it runs; ends with
// `all passed`.

'use strict';
const assert = require('node:assert/strict');
const Redis = require('ioredis');
const session = require('express-session');
const { RedisStore } = require('connect-redis');
const { createClient } = require('redis');
const { RateLimiterRedis } = require('rate-limiter-flexible');
const Redlock = require('redlock');

const [port, , password] = process.argv.slice(2);

const cases = {
  async 'redlock lets one in at a time'(client) {
    const locks = new Redlock([client], { retryCount: 1000, retryDelay: 1, retryJitter: 2 });
    let inside = 0;
    let turns = 0;
    await Promise.all(Array.from({ length: 20 }, async () => {
      const lock = await locks.lock(['lock:a', 'lock:b'], 10_000);
      assert.equal(++inside, 1);
      turns += Number(await client.incr('guarded')) > 0 ? 1 : 0;
      inside -= 1;
      await lock.unlock();
    }));
    assert.equal(turns, 20);
    assert.equal(await client.exists('lock:a', 'lock:b'), 0);
    const held = await locks.lock('lock:c', 10_000);
    await assert.rejects(new Redlock([client], { retryCount: 0 }).lock('lock:c', 1000));
    await held.extend(20_000);
    assert.ok(await client.pttl('lock:c') > 10_000);
    await held.unlock();
    await assert.rejects(held.unlock());
  },

  async 'a rate limiter lets through what is due, no more'(client) {
    const limiter = new RateLimiterRedis({ storeClient: client, keyPrefix: 'limit', points: 10, duration: 60 });
    const asked = await Promise.allSettled(Array.from({ length: 30 }, () => limiter.consume('someone')));
    assert.equal(asked.filter(({ status }) => status === 'fulfilled').length, 10);
    const { reason } = asked.find(({ status }) => status === 'rejected');
    assert.ok(reason.msBeforeNext > 50_000 && reason.remainingPoints === 0, JSON.stringify(reason));
    assert.equal((await limiter.get('someone')).consumedPoints, 30);
    await limiter.delete('someone');
    assert.equal((await limiter.consume('someone', 4)).remainingPoints, 6);
  },

  async 'sessions are kept, touched and destroyed'() {
    const client = createClient({ socket: { host: '127.0.0.1', port: Number(port) }, password });
    await client.connect();
    const store = new RedisStore({ client, prefix: 'session:', ttl: 100 });
    const data = { cookie: new session.Cookie({ maxAge: 50_000 }).toJSON(), user: 'someone', basket: [1, 2, 3] };
    const call = (method, ...args) => new Promise((resolve, reject) => {
      store[method](...args, (error, answer) => { if (error) reject(error); else resolve(answer); });
    });
    for (let number = 0; number < 250; number++) await call('set', `id${number}`, { ...data, number });
    assert.equal((await call('get', 'id77')).number, 77);
    assert.equal(await call('length'), 250);
    assert.equal((await call('all')).length, 250);
    assert.equal((await call('ids')).length, 250);
    const left = await client.ttl('session:id77');
    assert.ok(left > 40 && left <= 100, String(left));
    await call('touch', 'id77', { ...data, cookie: new session.Cookie({ maxAge: 90_000 }).toJSON() });
    assert.ok(await client.ttl('session:id77') > 80);
    await call('destroy', 'id77');
    assert.ok(!await call('get', 'id77'));
    await call('clear');
    assert.equal(await call('length'), 0);
    await client.close();
  },
};

(async () => {
  for (const [name, run] of Object.entries(cases)) {
    console.log(name);
    const client = new Redis({ host: '127.0.0.1', port: Number(port), password });
    await client.flushall();
    await run(client);
    await client.quit();
  }
  console.log('all passed');
})().catch((error) => { console.error(error); process.exit(1); });

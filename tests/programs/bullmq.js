// BullMQ against a running server: `bullmq.js PORT UNIXSOCKET [PASSWORD]`.
//
// Real jobs: plain, delayed, retried, prioritised, in flows, repeated and limited in rate, by several workers at once.
// Prints the name of each case before it runs; ends with `all passed`.

'use strict';
const assert = require('node:assert/strict');
const { FlowProducer, Queue, QueueEvents, Worker } = require('bullmq');

const [port, , password] = process.argv.slice(2);
const connection = { host: '127.0.0.1', port: Number(port), password, maxRetriesPerRequest: null };
const open = [];

function keep(thing) {
  thing.on('error', (error) => { console.error(error); process.exit(1); });
  open.push(thing);
  return thing;
}

const queue = (name) => keep(new Queue(name, { connection }));
const worker = (name, work, options = {}) => keep(new Worker(name, work, { connection, ...options }));
const events = async (name) => {
  const listening = keep(new QueueEvents(name, { connection }));
  await listening.waitUntilReady();
  return listening;
};
const closeAll = () => Promise.all(open.splice(0).map((thing) => thing.close()));

const cases = {
  async 'every job is done exactly once by four workers'() {
    const jobs = queue('many');
    const done = new Map();
    const heard = await events('many');
    await jobs.addBulk(Array.from({ length: 500 }, (_, number) => ({ name: 'add', data: { number } })));
    for (let count = 0; count < 4; count++) {
      worker('many', async (job) => {
        done.set(job.data.number, (done.get(job.data.number) ?? 0) + 1);
        return job.data.number * 2;
      }, { concurrency: 8 });
    }
    const last = await jobs.add('add', { number: 500 });
    assert.equal(await last.waitUntilFinished(heard), 1000);
    while ((await jobs.getJobCounts('completed')).completed < 501) await jobs.getWaitingCount();
    assert.equal(done.size, 501);
    assert.ok([...done.values()].every((times) => times === 1));
    assert.deepEqual(await jobs.getJobCounts('waiting', 'active', 'failed', 'delayed'),
      { waiting: 0, active: 0, failed: 0, delayed: 0 });
  },

  async 'a delayed job waits and a changed delay counts'() {
    const jobs = queue('delayed');
    const heard = await events('delayed');
    worker('delayed', async (job) => Date.now() - job.timestamp);
    const soon = await jobs.add('soon', {}, { delay: 300 });
    const far = await jobs.add('far', {}, { delay: 3_600_000 });
    assert.equal(await far.getState(), 'delayed');
    assert.ok(await soon.waitUntilFinished(heard) >= 295);
    await far.changeDelay(100);
    await far.waitUntilFinished(heard);
    assert.equal(await far.getState(), 'completed');
  },

  async 'a failing job is tried again with backoff, then fails for good'() {
    const jobs = queue('retried');
    const heard = await events('retried');
    let tries = 0;
    worker('retried', async (job) => {
      tries += 1;
      if (job.name === 'never' || tries < 3) throw new Error(`try ${job.attemptsMade}`);
      return 'at last';
    });
    const settled = await jobs.add('third', {}, { attempts: 5, backoff: { type: 'exponential', delay: 50 } });
    assert.equal(await settled.waitUntilFinished(heard), 'at last');
    assert.equal(tries, 3);
    const lost = await jobs.add('never', {}, { attempts: 2, backoff: { type: 'fixed', delay: 20 } });
    await assert.rejects(lost.waitUntilFinished(heard), /try 1/);
    assert.equal(await lost.getState(), 'failed');
    assert.equal((await jobs.getFailed()).length, 1);
    await lost.retry();
    await assert.rejects(lost.waitUntilFinished(heard));
  },

  async 'priorities, LIFO, pause and drain'() {
    const jobs = queue('ordered');
    await jobs.pause();
    await jobs.add('low', {}, { priority: 10 });
    await jobs.add('high', {}, { priority: 1 });
    await jobs.add('first', {});
    await jobs.add('newest', {}, { lifo: true });
    const order = [];
    const heard = await events('ordered');
    const all = new Promise((resolve) => heard.on('drained', resolve));
    worker('ordered', async (job) => { order.push(job.name); });
    assert.equal(await jobs.isPaused(), true);
    await jobs.resume();
    await all;
    while (order.length < 4) await jobs.getWaitingCount();
    assert.deepEqual(order, ['newest', 'first', 'high', 'low']);
    await jobs.add('late', {}, { delay: 100_000 });
    await jobs.drain(true);
    assert.equal(await jobs.count(), 0);
    await jobs.obliterate({ force: true });
  },

  async 'a parent runs when its children are done'() {
    const flow = keep(new FlowProducer({ connection }));
    const heard = await events('parents');
    worker('children', async (job) => job.data.number ** 2, { concurrency: 3 });
    worker('parents', async (job) => Object.values(await job.getChildrenValues()).reduce((sum, value) => sum + value, 0));
    const tree = await flow.add({
      name: 'sum', queueName: 'parents',
      children: Array.from({ length: 20 }, (_, number) => ({ name: 'square', queueName: 'children', data: { number } })),
    });
    assert.equal(await tree.job.waitUntilFinished(heard), 2470);
  },

  async 'a scheduler repeats and a limiter holds back'() {
    const jobs = queue('repeated');
    let runs = 0;
    await jobs.upsertJobScheduler('tick', { every: 50, limit: 4 }, { name: 'tick' });
    const ended = new Promise((resolve) => worker('repeated', async () => { if (++runs === 4) resolve(); }));
    await ended;
    await jobs.removeJobScheduler('tick');
    const limited = queue('limited');
    const heard = await events('limited');
    const started = Date.now();
    worker('limited', async () => {}, { limiter: { max: 2, duration: 200 }, concurrency: 10 });
    const six = await limited.addBulk(Array.from({ length: 6 }, () => ({ name: 'x', data: {} })));
    await Promise.all(six.map((job) => job.waitUntilFinished(heard)));
    assert.ok(Date.now() - started >= 380, `${Date.now() - started} ms`);
  },

  async 'progress, logs, deduplication and removal'() {
    const jobs = queue('told');
    const heard = await events('told');
    const progress = new Promise((resolve) => heard.on('progress', ({ data }) => resolve(data)));
    const one = await jobs.add('one', {}, { deduplication: { id: 'same' } });
    const same = await jobs.add('one', {}, { deduplication: { id: 'same' } });
    assert.equal(same.id, one.id);
    worker('told', async (job) => { await job.log('line'); await job.updateProgress(42); return 'done'; });
    assert.equal(await one.waitUntilFinished(heard), 'done');
    assert.equal(await progress, 42);
    assert.deepEqual((await jobs.getJobLogs(one.id)).logs, ['line']);
    await jobs.remove(one.id);
    assert.equal(await jobs.getJob(one.id), undefined);
    const metrics = await jobs.clean(0, 100, 'completed');
    assert.ok(Array.isArray(metrics));
  },
};

(async () => {
  for (const [name, run] of Object.entries(cases)) {
    console.log(name);
    await run();
    await closeAll();
  }
  console.log('all passed');
  process.exit(0);
})().catch((error) => { console.error(error); process.exit(1); });

// What the scripts of both libraries share: cases, run one after another with a bound, and assertions.
'use strict';

const assert = require('node:assert/strict');

/** Where the server is: `node SCRIPT PORT UNIXSOCKET [PASSWORD]`. */
const target = { host: '127.0.0.1', port: Number(process.argv[2]), unix: process.argv[3], password: process.argv[4] };

/** Longest run of one case, in milliseconds. */
const CASE_MS = 20_000;

/** Runs every case; prints its name before it runs, and `all passed` or what failed at the end. */
async function run(title, cases) {
  for (const [name, body] of Object.entries(cases)) {
    console.log(`${title}: ${name}`);
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`${name} takes too long`)), CASE_MS);
    });
    await Promise.race([body(), late]);
    clearTimeout(timer);
  }
}

/** Ends the process: with 0 when `work` is over, with 1 and the reason when it fails. */
function main(work) {
  work().then(
    () => { console.log('all passed'); process.exit(0); },
    (error) => { console.error(error); process.exit(1); },
  );
}

/** Waits for an error of class `kind` with `text` in its message. */
async function rejects(kind, text, promise) {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof kind, `${error.constructor.name} and not ${kind.name}: ${error}`);
    assert.ok(error.message.includes(text), `${error.message} does not have: ${text}`);
    return true;
  });
}

module.exports = { assert, main, rejects, run, target };

// BullMQ: a list of job IDs, a hash a job, one Lua script a step; ioredis, its default driver.
//
// - `addBulk` in batches of 1,000.
// - One worker with `concurrency` 300 (1 by default).
// - Finished jobs are kept, as by default.
//
// The conversation with the harness is described in peers/adapter.py.
"use strict";

const { parseArgs } = require("node:util");

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    url: { type: "string", default: "redis://127.0.0.1:6379/0" },
    jobs: { type: "string", default: "0" },
    first: { type: "string", default: "0" },
    payload: { type: "string", default: "100" },
    seconds: { type: "string", default: "0" },
    interval: { type: "string", default: "0" },
    turns: { type: "string" },
    each: { type: "string", default: "1" },
    latency: { type: "boolean", default: false },
    set: { type: "string", multiple: true, default: [] },
  },
});
const verb = positionals[0];
const jobs = Number(values.jobs);
const options = Object.fromEntries(values.set.map((option) => option.split("=", 2)));
const number = (option, otherwise) => Number(options[option] ?? otherwise);

const QUEUE = "bench";
const CLOCK_DIGITS = 20;

const emit = (event, fields = {}) =>
  process.stdout.write(JSON.stringify({ event, ...fields }) + "\n");

const now = () => process.hrtime.bigint();

const connection = () => {
  const url = new URL(values.url);
  return url.protocol === "unix:"
    ? { path: url.pathname }
    : { host: url.hostname, port: Number(url.port) };
};

const peakRss = () => {
  // As in peers/adapter.py: maxRSS may be that of the process that started this one.
  try {
    const status = require("node:fs").readFileSync("/proc/self/status", "utf8");
    return Number(/^VmHWM:\s+(\d+) kB/m.exec(status)[1]) * 1024;
  } catch {
    return process.resourceUsage().maxRSS * 1024;
  }
};

const payload = (n, size, stamp = 0n) => {
  const room = size - `{"n":${n},"pad":""}`.length;
  return { n, pad: stamp.toString().padStart(CLOCK_DIGITS, "0").padEnd(room, "x") };
};

const describe = () =>
  emit("described", {
    package: "bullmq",
    version: require("bullmq/package.json").version,
    settings: "concurrency=300, ioredis; addBulk of 1,000; finished jobs kept for ever",
    jobs: 50000,
    bulk_jobs: 60000,
    remaining: [
      ["LLEN", `bull:${QUEUE}:wait`],
      ["LLEN", `bull:${QUEUE}:active`],
    ],
  });

const enqueue = async () => {
  const { Queue } = require("bullmq");
  const queue = new Queue(QUEUE, { connection: connection() });
  await queue.waitUntilReady();
  const size = Number(values.payload);
  const payloads = Array.from({ length: jobs }, (_, n) => payload(n, size));
  const batch = number("batch", 1000);
  const start = now();
  for (let first = 0; first < jobs; first += batch) {
    await queue.addBulk(
      payloads.slice(first, first + batch).map((data) => ({ name: "job", data })),
    );
  }
  emit("enqueued", { seconds: Number(now() - start) / 1e9 });
  await queue.close();
};

const drip = async () => {
  const { Queue } = require("bullmq");
  const { setTimeout: sleep } = require("node:timers/promises");
  const queue = new Queue(QUEUE, { connection: connection() });
  await queue.waitUntilReady();
  const [startNs, length, mine, among] = (values.turns ?? `0,${jobs},0,1`).split(",");
  const start = BigInt(startNs) || now();
  const elapsed = () => Number(now() - start) / 1e9;
  const place = (number) =>
    (Math.floor(number / length) * among + Number(mine)) * length + (number % length);
  let sent = 0;
  while (sent < jobs && elapsed() < Number(values.seconds)) {
    const pause = place(sent) * Number(values.interval) - elapsed();
    if (pause > 0) await sleep(pause * 1000);
    await queue.add("job", payload(Number(values.first) + sent, 100, now()));
    sent += 1;
  }
  emit("dripped", { jobs: sent, seconds: elapsed() });
  await queue.close();
};

const work = () => {
  const { Worker } = require("bullmq");
  const seen = new Uint8Array(jobs);
  const latencies = [];
  let calls = 0;
  let first = 0n;
  const handler = async ({ data: { n, pad } }) => {
    calls += 1;
    if (calls === 1) {
      first = now();
      emit("started");
    }
    if (values.latency) latencies.push(Number(now() - BigInt(pad.slice(0, CLOCK_DIGITS))) / 1e9);
    seen[n] += 1;
    if (calls === jobs) {
      emit("handled", {
        first: Number(first),
        calls,
        exact: seen.reduce((sum, times) => sum + (times === 1 ? 1 : 0), 0),
        peak_rss: peakRss(),
        latencies,
      });
    }
  };
  const worker = new Worker(QUEUE, handler, {
    connection: connection(),
    concurrency: number("concurrency", 300),
  });
  worker.on("error", (error) => console.error(error));
};

const verbs = { describe, enqueue, drip, work };
Promise.resolve(verbs[verb]()).catch((error) => {
  console.error(error);
  process.exit(1);
});

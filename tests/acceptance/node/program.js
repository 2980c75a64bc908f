// The Node package on a database: a worker and a producer, told what to do by lines of JSON on its standard input.
//
// Its only argument is JSON: {db, log, tags, jobs, crons, idleMs}. `jobs` and `crons` are options by name, with the kind
// of the handler as `does`. It answers each line with one: {ok: …} or {error: "…"}; ids and dates are in extended JSON.

import { appendFileSync } from "node:fs";
import { createInterface } from "node:readline";

import { addJob, getProcessorHealthcheck, getProcessorStatus, getSimpleJob, initJobProcessor, killJob, scheduleJob,
  startJobProcessor, zProcessorStatus } from "job-processor";
import { BSON, MongoClient } from "mongodb";

const { EJSON } = BSON;
const options = JSON.parse(process.argv[2]);

// One line per event; a write of this size is atomic.
function note(what, job, more = {}) {
  const line = { what, job: String(job._id), name: job.name, pid: process.pid, at: Date.now() / 1000, ...more };
  appendFileSync(options.log, JSON.stringify(line) + "\n");
}

const aborted = (signal) =>
  new Promise((_, reject) => {
    const fail = () => reject(new Error(`told to stop: ${signal.reason}`));
    if (signal.aborted) fail();
    signal.addEventListener("abort", fail, { once: true });
  });

const until = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const deeds = {
  echo: async (job) => job.payload,
  fail: async () => {
    throw new Error("it was me, in Node");
  },
  nothing: async () => undefined,
  hold: async (job, signal) => aborted(signal),
  work: async (job, signal) => Promise.race([until(job.payload?.ms ?? 1), aborted(signal)]).then(() => "worked"),
};

function handler(deed) {
  return async (job, signal) => {
    note("start", job, { planned: job.scheduled_for.getTime() / 1000 });
    try {
      return await deeds[deed](job, signal);
    } finally {
      note("end", job);
    }
  };
}

const exited = async (job) => note("exited", job, { status: job.status });

function definitions(given, make) {
  return Object.fromEntries(Object.entries(given ?? {}).map(([name, { does, ...rest }]) =>
    [name, { ...rest, handler: make(handler(does)), onJobExited: exited }]));
}

const quiet = { debug() {}, info() {}, error: (...args) => console.error(...args) };
quiet.warn = quiet.info;
quiet.child = () => quiet;

const client = await MongoClient.connect(options.db);
await initJobProcessor({
  db: client.db(),
  logger: quiet,
  jobs: definitions(options.jobs, (run) => run),
  crons: definitions(options.crons, (run) => (signal, job) => run(job, signal)),
  workerTags: options.tags ?? null,
  sleepTimeWhenNoJobsInMs: options.idleMs ?? 50, // 45,000 as it comes
});

// JSON with its times as dates again.
function revived(value) {
  if (typeof value === "string" && /^\d{4}-\d\d-\d\dT.*Z$/.test(value)) return new Date(value);
  if (Array.isArray(value)) return value.map(revived);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, revived(each)]));
}

const stop = new AbortController();
let worker = null;

const commands = {
  start: async () => {
    worker = startJobProcessor(stop.signal);
    worker.catch((error) => console.error("the worker ended:", error));
  },
  stop: async () => {
    stop.abort();
    await worker;
  },
  add: async ({ name, payload, count = 1 }) => {
    for (let n = 0; n < count; n += 1) await addJob({ name, payload, queued: true });
  },
  run: async ({ name, payload }) => addJob({ name, payload }),
  schedule: async ({ name, payload, at }) => scheduleJob({ name, payload, scheduled_for: at ?? new Date() }),
  kill: async ({ id }) => killJob(id),
  get: async ({ id }) => getSimpleJob(id),
  status: async () => getProcessorStatus(),
  status_json: async () => JSON.parse(JSON.stringify(zProcessorStatus.parse(await getProcessorStatus()))),
  parses: async ({ status }) => {
    // What travels is JSON; the components' own schema is of what the server has: dates and ids.
    zProcessorStatus.parse(revived(status));
    return true;
  },
  health: async () => getProcessorHealthcheck(),
};

const answer = (value) => process.stdout.write(EJSON.stringify(value, { relaxed: false }) + "\n");

answer({ ok: "ready" });
for await (const line of createInterface({ input: process.stdin })) {
  const { do: command, ...rest } = EJSON.parse(line);
  try {
    answer({ ok: (await commands[command](rest)) ?? null });
  } catch (error) {
    answer({ error: String(error?.stack ?? error) });
  }
}
process.exit(0); // whoever started it is gone

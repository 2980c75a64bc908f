// Workers of the Node package, told what to do by lines of JSON on the standard input: {call, worker, do, …}.
//
// `open` makes a worker, with {db, log, errors, tags, jobs, crons, idleMs}: `jobs` and `crons` are options by name, with
// the kind of the handler as `does`. Each line is answered by one: {call, ok: …} or {call, error: "…"}; ids and dates are in
// extended JSON. The package keeps its state in its module: each worker has an instance of that module for itself, as if
// it had a process for itself, while the packages that take long to load are loaded once.

import { appendFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { inspect } from "node:util";

import { BSON, MongoClient } from "mongodb";

const { EJSON } = BSON;

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

// JSON with its times as dates again.
function revived(value) {
  if (typeof value === "string" && /^\d{4}-\d\d-\d\dT.*Z$/.test(value)) return new Date(value);
  if (Array.isArray(value)) return value.map(revived);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, revived(each)]));
}

async function open(worker, options) {
  // One line per event; a write of this size is atomic.
  function note(what, job, more = {}) {
    const line = { what, job: String(job._id), name: job.name, at: Date.now() / 1000, ...more };
    appendFileSync(options.log, JSON.stringify(line) + "\n");
  }

  function complain(...args) {
    appendFileSync(options.errors, args.map((each) => inspect(each, { depth: 8 })).join(" ") + "\n");
  }

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

  function definitions(given, make) {
    return Object.fromEntries(Object.entries(given ?? {}).map(([name, { does, ...rest }]) =>
      [name, { ...rest, handler: make(handler(does)), onJobExited: async (job) => note("exited", job) }]));
  }

  const quiet = { debug() {}, info() {}, warn() {}, error: complain, child: () => quiet };
  const node = await import(`${import.meta.resolve("job-processor")}?worker=${worker}`);
  const client = await MongoClient.connect(options.db);
  await node.initJobProcessor({
    db: client.db(),
    logger: quiet,
    jobs: definitions(options.jobs, (run) => run),
    crons: definitions(options.crons, (run) => (signal, job) => run(job, signal)),
    workerTags: options.tags ?? null,
    sleepTimeWhenNoJobsInMs: options.idleMs ?? 50, // 45,000 as it comes
  });

  const stop = new AbortController();
  let working = null;

  return {
    start: async () => {
      working = node.startJobProcessor(stop.signal);
      working.catch((error) => complain("the worker ended:", error));
    },
    stop: async () => {
      stop.abort();
      await working;
    },
    close: async () => {
      stop.abort();
      await working?.catch(() => {});
      await client.close();
    },
    add: async ({ name, payload, count = 1 }) => {
      for (let n = 0; n < count; n += 1) await node.addJob({ name, payload, queued: true });
    },
    run: async ({ name, payload }) => node.addJob({ name, payload }),
    schedule: async ({ name, payload, at }) => node.scheduleJob({ name, payload, scheduled_for: at ?? new Date() }),
    kill: async ({ id }) => node.killJob(id),
    get: async ({ id }) => node.getSimpleJob(id),
    status: async () => node.getProcessorStatus(),
    status_json: async () =>
      JSON.parse(JSON.stringify(node.zProcessorStatus.parse(await node.getProcessorStatus()))),
    parses: async ({ status }) => {
      // What travels is JSON; the components' own schema is of what the server has: dates and ids.
      node.zProcessorStatus.parse(revived(status));
      return true;
    },
    health: async () => node.getProcessorHealthcheck(),
    exports: async () => Object.keys(node),
  };
}

const workers = new Map();

async function obey({ worker, do: command, ...rest }) {
  if (command === "open") workers.set(worker, await open(worker, rest));
  else return workers.get(worker)[command](rest);
}

async function answer(line) {
  const { call, ...rest } = EJSON.parse(line);
  let answered;
  try {
    answered = { call, ok: (await obey(rest)) ?? null };
  } catch (error) {
    answered = { call, error: String(error?.stack ?? error) };
  }
  process.stdout.write(EJSON.stringify(answered, { relaxed: false }) + "\n");
}

for await (const line of createInterface({ input: process.stdin })) answer(line);
process.exit(0); // whoever started it is gone

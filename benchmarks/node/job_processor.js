// The Node package job-processor on MongoDB.

import { addJob, initJobProcessor, startJobProcessor } from "job-processor";
import { MongoClient } from "mongodb";

import { hit, work } from "./probe.js";
import { inHundreds, serve } from "./producing.js";

const quiet = { debug() {}, info() {}, error: (...args) => console.error(...args) };
quiet.child = () => quiet;

const client = await MongoClient.connect(process.env.BENCH_MONGODB_URL);
await initJobProcessor({
  db: client.db(),
  logger: quiet,
  jobs: {
    noop: { handler: async () => hit() },
    work: { handler: async (job) => work(job.payload.n) },
  },
  crons: {},
  sleepTimeWhenNoJobsInMs: 50, // its default is 45,000: a job would wait for so long
});

if (process.argv[2] === "worker") {
  await startJobProcessor(new AbortController().signal);
} else {
  const one = (name, n) => addJob({ name, payload: { n }, queued: true });
  await serve({ one, many: inHundreds(one) });
}

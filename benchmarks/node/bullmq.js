// BullMQ on Redis: one queue, its jobs removed once they have ended, as its users with many do.

import { Queue, Worker } from "bullmq";
import IORedis from "ioredis";

import { hit, work } from "./probe.js";
import { serve } from "./producing.js";

const connection = new IORedis(process.env.BENCH_REDIS_URL, { maxRetriesPerRequest: null });
const options = { removeOnComplete: true, removeOnFail: true };

if (process.argv[2] === "worker") {
  new Worker(
    "benchmark",
    async (job) => (job.name === "noop" ? hit() : work(job.data.n)),
    { connection, concurrency: Number(process.env.BENCH_CONCURRENCY) },
  );
} else {
  const queue = new Queue("benchmark", { connection });
  await queue.waitUntilReady();
  await serve({
    one: (task, n) => queue.add(task, { n }, options),
    many: (task, values) =>
      queue.addBulk(values.map((n) => ({ name: task, data: { n }, opts: options }))),
  });
}

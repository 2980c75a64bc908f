// BullMQ on Redis: one queue, its jobs removed once they have ended, as its users with many do.

import { FlowProducer, Queue, Worker } from "bullmq";
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
  const flows = new FlowProducer({ connection });
  const node = (n, children) => ({
    name: "noop",
    queueName: "benchmark",
    data: { n },
    opts: options,
    children,
  });
  const chain = (length) => {
    let last = node(0);
    for (let n = 1; n < length; n++) last = node(n, [last]); // the parent comes after its children
    return last;
  };
  await serve({
    one: (task, n) => queue.add(task, { n }, options),
    many: (task, values) =>
      queue.addBulk(values.map((n) => ({ name: task, data: { n }, opts: options }))),
    fanIn: (values) => flows.add(node(0, values.map((n) => node(n)))),
    chains: async (count, length) => {
      for (let i = 0; i < count; i++) await flows.add(chain(length));
    },
  });
}

// Agenda on MongoDB, told of new jobs by its change stream.

import { MongoBackend, MongoChangeStreamNotificationChannel } from "@agendajs/mongo-backend";
import { Agenda } from "agenda";
import { MongoClient } from "mongodb";

import { hit, work } from "./probe.js";
import { inHundreds, serve } from "./producing.js";

const client = await MongoClient.connect(process.env.BENCH_MONGODB_URL);
const db = client.db();
const concurrency = Number(process.env.BENCH_CONCURRENCY);
const isWorker = process.argv[2] === "worker";

const agenda = new Agenda({
  backend: new MongoBackend({ mongo: db }),
  notificationChannel: isWorker ? new MongoChangeStreamNotificationChannel({ db }) : undefined,
  processEvery: 50, // ms; its default is 5 s, which only the change stream would shorten
  maxConcurrency: concurrency,
  defaultConcurrency: concurrency,
  defaultLockLimit: concurrency * 2, // it fetches ahead
});
agenda.on("error", (error) => console.error(error.message));
agenda.define("noop", async () => hit());
agenda.define("work", async (job) => work(job.attrs.data.n));
await agenda.ready;

if (isWorker) {
  await agenda.start();
} else {
  const one = (task, n) => agenda.now(task, { n });
  await serve({ one, many: inHundreds(one) });
}

// The process that enqueues: one request a line, one answer a line, as benchmarks/producing.py.

import { createInterface } from "node:readline";

const CHUNK = 1000;

const reply = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);

export async function serve({ one, many, fanIn, chains }) {
  reply({});
  for await (const line of createInterface({ input: process.stdin })) {
    const { do: what, task = "noop", value, count, length } = JSON.parse(line);
    const values = Array.from({ length: count }, (_, i) => value ?? i);
    const began = process.hrtime.bigint();
    if (what === "single") {
      for (const each of values) await one(task, each);
    } else if (what === "fan_in") {
      await fanIn(values);
    } else if (what === "chains") {
      await chains(count, length);
    } else {
      for (let i = 0; i < count; i += CHUNK) await many(task, values.slice(i, i + CHUNK));
    }
    const seconds = Number(process.hrtime.bigint() - began) / 1e9;
    reply({ began_ns: Number(began), seconds });
  }
  process.exit(0);
}

// For those without a bulk call: a hundred at once.
export const inHundreds = (one) => async (task, values) => {
  for (let i = 0; i < values.length; i += 100) {
    await Promise.all(values.slice(i, i + 100).map((value) => one(task, value)));
  }
};

// Random search in JavaScript, in batches of four. Needs Node 18 or later and nothing else.
//
//     python -m leaderboard.check_agent "stdio:node examples/third_party/random_agent.mjs"

import { createReadStream, writeSync } from "node:fs";
import { createInterface } from "node:readline";

const lines = createInterface({ input: createReadStream(null, { fd: 3 }) })[Symbol.asyncIterator]();
const receive = async () => JSON.parse((await lines.next()).value);
const send = (message) => writeSync(4, JSON.stringify({ jsonrpc: "2.0", ...message }) + "\n");

let id = 0;
async function call(method, params) {
  send({ id: ++id, method, params });
  const answer = await receive();
  if (answer.error) throw new Error(answer.error.message);
  return answer.result;
}

// mulberry32, because Math.random cannot be seeded.
function randomFrom(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

function draw({ low, high, scale, integer }, u) {
  const value = scale === "log" ? low * Math.exp(u * Math.log(high / low)) : low + u * (high - low);
  return Math.min(high, Math.max(low, integer ? Math.round(value) : value));
}

const opening = await receive();
const { task, budget, seed } = opening.params;
const random = randomFrom(seed);
send({ id: opening.id, result: { name: "random-node", version: "1" } });

let remaining = budget;
while (remaining > 0) {
  const designs = Array.from({ length: Math.min(4, remaining) }, () =>
    Object.fromEntries(task.parameters.map((p) => [p.name, draw(p, random())])));
  const result = await call("simulate", { designs });
  for (const e of result.evaluations) console.log(e.status, e.score);
  remaining = result.remaining;
}
await call("finish", {});
process.exit(0);

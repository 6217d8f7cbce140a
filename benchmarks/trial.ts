/**
 * One trial in a process of its own: `node trial.ts TRIAL [prepare]`, the trial as JSON. It sends what it measured to
 * the process that started it, or prints it when it was started by hand.
 */
import process from "node:process"
import { benchesOf } from "./src/Contenders.ts"
import type { Trial } from "./src/Trial.ts"

const [, , json, mode] = process.argv
if (json === undefined) throw new Error("usage: node trial.ts TRIAL [prepare], with the trial as JSON")
const trial: Trial = JSON.parse(json)
const bench = (await benchesOf(trial.contender))[trial.workload]
if (bench === undefined) throw new Error(`${trial.contender} does not do ${trial.workload}`)

// A pool or a timer that a peer left open must not keep the process.
const end = (): never => process.exit(0)

if (mode === "prepare") {
  await bench.prepare?.(trial)
  end()
}
const measured = await bench.measure(trial)
if (process.send !== undefined) process.send(measured, end)
else {
  console.log(JSON.stringify(measured))
  end()
}

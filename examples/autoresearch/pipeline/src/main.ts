/**
 * Trains for a fixed time on a dataset of compressed images and prints how fast that went, as `key=value` lines.
 *
 *   DATASET_DIR=... node src/main.ts [--headspace] [--warmup SECONDS] [--seconds SECONDS]
 *
 * The settings are in `parameters.json`. With `--headspace` the batches come from memory, all done: how fast training
 * would be if loading cost nothing.
 */

import { existsSync } from "node:fs"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { setImmediate as turn } from "node:timers/promises"
import { parseArgs } from "node:util"
import { codeHash } from "./codehash.ts"
import { UsageError } from "./errors.ts"
import type { Manifest } from "./format.ts"
import { cached, type Loader, openLoader } from "./loader.ts"
import { readParameters } from "./parameters.ts"
import { Model } from "./step.ts"
import { openVerifier, VERIFIED_SAMPLES, type Verifier } from "./verify.ts"

interface Settings {
  readonly headspace: boolean
  readonly warmupMillis: number
  readonly windowMillis: number
}

const readSettings = (): Settings => {
  const { values } = parseArgs({
    options: {
      headspace: { type: "boolean", default: false },
      warmup: { type: "string", default: "0.4" },
      seconds: { type: "string", default: "1.5" }
    }
  })
  const millis = (name: string, text: string): number => {
    const seconds = Number(text)
    if (!(seconds >= 0 && seconds <= 3600)) throw new UsageError(`--${name} is ${text}: it must be 0 to 3600 seconds`)
    return seconds * 1000
  }
  return {
    headspace: values.headspace,
    warmupMillis: millis("warmup", values.warmup),
    windowMillis: millis("seconds", values.seconds)
  }
}

/** Trains until warm-up, which begins with the first batch, and window are over; what is counted is the window. */
const train = async (loader: Loader, verifier: Verifier, { warmupMillis, windowMillis }: Settings) => {
  const model = new Model()
  let firstBatch = 0
  let windowStart: number | undefined
  let [steps, samples, ready, stepMillis, loss] = [0, 0, 0, 0, 0]
  while (true) {
    // Lets what has arrived be seen as arrived.
    await turn()
    const isReady = loader.isReady()
    const batch = await loader.next()
    firstBatch ||= performance.now()
    verifier.verify(batch)
    const start = performance.now()
    loss = model.step(batch)
    const end = performance.now()
    if (!Number.isFinite(loss)) throw new Error(`the loss is ${loss} after batch ${batch.sequence}`)
    if (windowStart === undefined) {
      if (end - firstBatch >= warmupMillis && verifier.isDone()) windowStart = end
      continue
    }
    steps++
    samples += batch.ids.length
    ready += isReady ? 1 : 0
    stepMillis += end - start
    if (end - windowStart >= windowMillis) {
      return {
        throughput: samples / (end - windowStart) * 1000,
        step_time_ms: stepMillis / steps,
        time_to_first_batch_ms: firstBatch,
        data_ready_percent: ready / steps * 100,
        samples,
        steps,
        loss
      }
    }
  }
}

const main = async (): Promise<void> => {
  const settings = readSettings()
  const parameters = readParameters(new URL("../parameters.json", import.meta.url))
  const directory = process.env["DATASET_DIR"]
  if (!directory) throw new UsageError("DATASET_DIR is not set: it must name the folder of the dataset")
  const manifestFile = join(directory, "manifest.json")
  if (!existsSync(manifestFile)) throw new UsageError(`there is no dataset in ${directory}: make it first`)
  const { records } = JSON.parse(await readFile(manifestFile, "utf8")) as Manifest
  const verifier = await openVerifier(directory, records)

  let loader = await openLoader(directory, parameters)
  try {
    if (settings.headspace) {
      loader = await cached(loader, Math.ceil(Math.min(VERIFIED_SAMPLES, records) / parameters.batchSize))
    }
    const measured = await train(loader, verifier, settings)
    for (const [name, value] of Object.entries(measured)) {
      console.log(`${name}=${Number.isInteger(value) ? value : value.toFixed(4)}`)
    }
  } finally {
    await loader.close()
  }
  const { checksum, samples } = verifier.result()
  console.log(`verified_samples=${samples}`)
  console.log(`checksum=${checksum.toFixed(1)}`)
  console.log(`peak_memory_mib=${(process.resourceUsage().maxRSS / 1024).toFixed(1)}`)
  console.log(`code_hash=${codeHash()}`)
}

main().catch((error: unknown) => {
  console.error(error instanceof UsageError ? `error: ${error.message}` : error)
  process.exitCode = 1
})

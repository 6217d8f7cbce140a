/**
 * The `espalier` command: `run`, `resume`, `status`, `summary`, `doctor`.
 *
 * What is data goes to standard output, everything else to standard error, so that `--json` can be piped.
 */
import { Effect } from "effect"
import { Argument, CliConfig, CliOutput, Command, Flag, GlobalFlag } from "effect/cli"
import * as DoctorCommand from "./DoctorCommand.ts"
import * as LookCommand from "./LookCommand.ts"
import * as RunCommand from "./RunCommand.ts"
import { presenter } from "./Usage.ts"

const directory = Argument.String("directory").pipe(
  Argument.withDescription("The working directory: it holds espalier.toml, and gets everything that the run makes")
)

const json = Flag.Boolean("json").pipe(
  Flag.withDescription("Print one JSON document on standard output, for programs"),
  Flag.withDefault(false)
)

const input = { directory, json }

const run = Command.make("run", input, ({ directory, json }) => RunCommand.execute(directory, "run", json)).pipe(
  Command.withDescription("Begin the run of a directory, or go on with it"),
  Command.withExamples([{
    command: "espalier run runs/pipeline",
    description: "Optimise until the limits are reached"
  }])
)

const resume = Command.make("resume", input, ({ directory, json }) => RunCommand.execute(directory, "resume", json))
  .pipe(
    Command.withDescription("Go on with a run that was suspended or whose process died")
  )

const status = Command.make("status", input, ({ directory, json }) => LookCommand.status(directory, json)).pipe(
  Command.withDescription("Show where a run stands, without disturbing it")
)

const summary = Command.make("summary", input, ({ directory, json }) => LookCommand.summary(directory, json)).pipe(
  Command.withDescription("Make all tables, reports and pictures again from the journal")
)

const doctor = Command.make(
  "doctor",
  {
    directory: Argument.optional(directory).pipe(
      Argument.withDescription("The working directory of a project; without one, all that could be used is looked for")
    ),
    json
  },
  ({ directory, json }) => DoctorCommand.execute(directory, json)
).pipe(
  Command.withDescription("Say what the machine lacks, by name, and what to do about it"),
  Command.withExamples([{
    command: "espalier doctor runs/pipeline",
    description: "Exit code 1 when something is missing that its layers need"
  }])
)

/** The whole command. */
export const command = Command.make("espalier").pipe(
  Command.withDescription("Optimise a program by experiments: durable, measured, reproducible"),
  Command.withSubcommands([run, resume, status, summary, doctor])
)

/**
 * Runs the command with arguments (without program and script). It needs the services of `NodeServices.layer`; what it
 * fails with has a message for a person, which `Report.report` prints; its type is not known, for layers of a program's own
 * may fail with anything. `Program.start` is all of this as a process.
 *
 * @example
 * ```ts
 * import * as NodeServices from "@effect/platform-node/NodeServices"
 * import { Cli } from "@espalier/cli"
 * import { Effect } from "effect"
 * import assert from "node:assert"
 *
 * const status = Cli.main(["status", "/no/such/directory"], "1.0.0")
 * const error = await Effect.runPromise(Effect.flip(status).pipe(Effect.provide(NodeServices.layer)))
 * assert.ok(error instanceof Error)
 * assert.match(error.message, /There is no \/no\/such\/directory/)
 * ```
 */
export const main = (args: ReadonlyArray<string>, version: string) =>
  Command.runWith(command, { version })(args).pipe(
    Effect.provideService(CliOutput.Presenter, presenter),
    Effect.provideService(
      CliConfig.CliConfig,
      CliConfig.make({ builtIns: [GlobalFlag.Help, GlobalFlag.Version, GlobalFlag.Completions] })
    )
  )

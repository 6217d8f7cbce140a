/**
 * The example, but its process kills itself with SIGKILL where `KILL_AT` says:
 *
 *   KILL_AT="step.recorded write" node --conditions=espalier-source killed.ts DIRECTORY NAME...
 */
import { NodeServices } from "@effect/platform-node"
import { Failpoint } from "@espalier/engine"
import * as JournalSqlite from "@espalier/engine/JournalSqlite"
import { Effect, Layer } from "effect"
import { join } from "node:path"
import { Mail, welcome, WelcomeLive } from "../../mail.ts"
import { Outbox } from "../../outbox.ts"

const [directory = "", ...names] = process.argv.slice(2)

const hook = (name: string): void => {
  if (name !== process.env["KILL_AT"]) return
  process.kill(process.pid, "SIGKILL")
  // The signal is delivered before the next turn of the event loop, not before the next line.
  for (;;);
}

const MailLive = Mail.layer.pipe(
  Layer.provide(WelcomeLive),
  Layer.provide([
    Outbox.layer(join(directory, "outbox")),
    JournalSqlite.layer({ filename: join(directory, "mail.db") })
  ])
)

await Effect.runPromise(
  welcome(names).pipe(
    Effect.provideService(Failpoint.Failpoint, hook),
    Effect.provide(MailLive),
    Effect.provide(NodeServices.layer)
  )
)

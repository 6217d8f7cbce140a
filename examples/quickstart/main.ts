/**
 * `node --conditions=espalier-source examples/quickstart/main.ts DIRECTORY NAME...`: welcomes each name once, in
 * `DIRECTORY/outbox`. Kill it when you like and start it again: what was done is not done again, what was not done is.
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import * as JournalSqlite from "@espalier/engine/JournalSqlite"
import { Console, Effect, Layer } from "effect"
import { join } from "node:path"
import { Mail, welcome, WelcomeLive } from "./mail.ts"
import { Outbox } from "./outbox.ts"

const [directory = "welcome", ...names] = process.argv.slice(2)

const MailLive = Mail.layer.pipe(
  Layer.provide(WelcomeLive),
  Layer.provide([
    Outbox.layer(join(directory, "outbox")),
    JournalSqlite.layer({ filename: join(directory, "mail.db") })
  ])
)

NodeRuntime.runMain(
  welcome(names).pipe(
    Effect.flatMap(Effect.forEach((text) => Console.log(text.trimEnd()))),
    Effect.provide(MailLive),
    Effect.provide(NodeServices.layer)
  )
)

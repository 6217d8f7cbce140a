/**
 * What the tests of features share: an engine on one memory journal that can be opened again, and can die like a process;
 * a stage, on which handlers wait until the test tells them how to end; and waiting for a status.
 */
import { Journal, type Run, type RunStatus, WorkEngine, WorkKind } from "@espalier/engine"
import { Deferred, Effect, Layer, Option, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"

export class Boom extends Schema.TaggedError<Boom>()("Boom", { why: Schema.String }) {}

/** A kind without policies. What it does is the stage's affair. */
export class Task extends WorkKind.make("Task", {
  payload: { name: Schema.String },
  success: Schema.String,
  error: Boom
}) {}

export class Other extends WorkKind.make("Other", { payload: { name: Schema.String }, success: Schema.String }) {}

export class Jobs extends WorkEngine.Service<Jobs>()("test/unit/Jobs", { kinds: [Task, Other] }) {}

/**
 * Handlers that tell that they were started, and wait for the test. A name that starts with `quick` does not wait.
 */
export class Stage {
  /** Names, in the order in which their handlers were started. */
  readonly started: Array<string> = []
  /** Those whose handlers are alive. */
  readonly alive = new Set<string>()
  /** The most that were alive at the same time. */
  most = 0
  private readonly gates = new Map<string, Deferred.Deferred<string, Boom>>()
  private readonly arrivals = new Map<string, Deferred.Deferred<void>>()

  readonly handler = ({ name }: { readonly name: string }): Effect.Effect<string, Boom> =>
    Effect.suspend(() => {
      this.started.push(name)
      this.alive.add(name)
      this.most = Math.max(this.most, this.alive.size)
      Deferred.doneUnsafe(this.arrival(name), Effect.void)
      return name.startsWith("quick") ? Effect.succeed(`${name} done`) : Deferred.await(this.gate(name))
    }).pipe(Effect.ensuring(Effect.sync(() => this.alive.delete(name))))

  /** For kinds without an error. */
  readonly sure = (payload: { readonly name: string }): Effect.Effect<string> => Effect.orDie(this.handler(payload))

  readonly arrived = (name: string): Effect.Effect<void> => Effect.suspend(() => Deferred.await(this.arrival(name)))
  readonly succeed = (...names: ReadonlyArray<string>): Effect.Effect<void> =>
    Effect.sync(() => {
      for (const name of names) Deferred.doneUnsafe(this.gate(name), Effect.succeed(`${name} done`))
    })
  readonly fail = (name: string): Effect.Effect<void> =>
    Effect.sync(() => {
      Deferred.doneUnsafe(this.gate(name), Effect.fail(new Boom({ why: name })))
    })
  readonly die = (name: string): Effect.Effect<void> =>
    Effect.sync(() => {
      Deferred.doneUnsafe(this.gate(name), Effect.die(new Error(`${name} broke`)))
    })

  private gate(name: string): Deferred.Deferred<string, Boom> {
    let gate = this.gates.get(name)
    if (gate === undefined) this.gates.set(name, gate = Deferred.makeUnsafe())
    return gate
  }

  private arrival(name: string): Deferred.Deferred<void> {
    let arrival = this.arrivals.get(name)
    if (arrival === undefined) this.arrivals.set(name, arrival = Deferred.makeUnsafe())
    return arrival
  }
}

/**
 * A memory journal that can be told to fail, as if the process had died in the middle: nothing more is recorded. What it keeps has
 * been through JSON, as on a disk.
 */
export const mortalJournal = Effect.gen(function*() {
  const memory = yield* Layer.build(Journal.layerMemory)
  const journal = yield* Effect.provide(Journal.Journal, memory)
  const state = { dead: false, appends: 0 }
  const mortal = Journal.Journal.of({
    ...journal,
    open: (runId, options) =>
      Effect.map(journal.open(runId, options), (writer) => ({
        ...writer,
        append: (events, version) =>
          Effect.suspend(() => {
            state.appends += 1
            return state.dead
              ? Effect.fail(new Journal.JournalError({ operation: "append", runId, message: "the disk is gone" }))
              : writer.append(JSON.parse(JSON.stringify(events)), version)
          })
      }))
  })
  return { layer: Layer.succeed(Journal.Journal, mortal), journal, state }
})

/** An engine of a class, with its handlers, on a journal. */
export const engineOf = <Self, Id extends string, K extends WorkKind.Any>(
  service: WorkEngine.EngineClass<Self, Id, K>,
  handlers: Layer.Layer<WorkKind.HandlersOf<K>>,
  journal: Layer.Layer<Journal.Journal>
) =>
  Effect.flatMap(
    Layer.build(Layer.fresh(service.layer).pipe(Layer.provide(handlers), Layer.provide(journal))),
    (context) => Effect.provide(service, context)
  )

/** The usual engine on a stage. */
export const laboratory = Effect.gen(function*() {
  const stage = new Stage()
  const mortal = yield* mortalJournal
  const handlers = Layer.mergeAll(Task.toLayer(stage.handler), Other.toLayer(stage.sure))
  const engine = yield* engineOf(Jobs, handlers, mortal.layer)
  return { stage, engine, ...mortal }
})

/** Lets everything go on that can go on without time passing. */
export const quiet: Effect.Effect<void> = Effect.gen(function*() {
  for (let round = 0; round < 5; round++) {
    yield* TestClock.adjust(0)
    for (let turn = 0; turn < 20; turn++) yield* Effect.yieldNow
  }
})

/** Waits for what happens beside the run, such as a snapshot, which takes as many turns as it needs. */
export const eventually = (holds: Effect.Effect<boolean, unknown>, what: string): Effect.Effect<void> =>
  Effect.gen(function*() {
    for (let round = 0; round < 200; round++) {
      if (yield* holds) return
      yield* quiet
    }
    return yield* Effect.die(new Error(`it never came about: ${what}`))
  }).pipe(Effect.orDie)

/** Whether events of the first run of a journal have gone. */
export const hasForgottenEvents = <K extends WorkKind.Any>(engine: WorkEngine.Engine<K>) =>
  eventually(Effect.map(engine.list, ([info]) => info!.horizon > 0), "events have gone from the journal")

/** The first status, from now on, for which something holds. */
export const until = <K extends WorkKind.Any>(
  run: Run.Run<K>,
  holds: (status: RunStatus.RunStatus) => boolean
): Effect.Effect<RunStatus.RunStatus> =>
  run.changes.pipe(
    Stream.filter(holds),
    Stream.runHead,
    Effect.map((found) => Option.getOrThrowWith(found, () => new Error("the changes ended"))),
    Effect.orDie
  )

/** Notes what happens, and goes on with a value. */
export const noted = <A>(notes: Array<string>, note: string, value: A): A => {
  notes.push(note)
  return value
}

export const spec = (id: string, fields: Partial<Parameters<Run.Run<typeof Task>["add"]>[0][number]> = {}) => ({
  id,
  kind: "Task",
  priority: 0,
  payload: { name: id },
  ...fields
})

/** Tags of a run's durable events, with the id of the work where there is one. */
export const tale = <K extends WorkKind.Any>(
  engine: WorkEngine.Engine<K>,
  runId: string
): Effect.Effect<ReadonlyArray<string>> =>
  Effect.map(
    Effect.orDie(engine.history(runId)),
    (events) =>
      events.map(({ event }) =>
        "id" in event ? `${event._tag} ${event.id}` : "spec" in event ? `${event._tag} ${event.spec.id}` : event._tag
      )
  )

/**
 * A search without an engine: decisions are carried out on a tree at once, and what is pending settles in random order, with
 * random luck. Thousands of searches a second, to state what holds of every decision.
 */
import { ExperimentTree, Failure, Measurement, Planning, Setup, type Study, TreeView } from "@espalier/workflow"
import { numbers } from "./random.ts"

/** Chances that a thing goes wrong, and how fast a change set is. */
export interface World {
  readonly seed: number
  readonly failing: number
  readonly cancelled: number
  /** Of a confirmation. */
  readonly breaking: number
  /** Settled things that are seen by one decision: requests that were merged. */
  readonly merged: number
  /** The effect of each change, as a logarithm, is uniform up to this. */
  readonly effect: number
  readonly noise: number
  /** How long a job takes. */
  readonly millis: number
}

/** Everything that one search decided, in order. */
export interface Rehearsed {
  readonly tree: ExperimentTree.ExperimentTree
  readonly decisions: ReadonlyArray<
    Planning.Decision & {
      readonly pending: number
      readonly pendingConfirms: number
      readonly plateau: number
      readonly elapsedMillis: number
      readonly before: ReadonlyMap<string, ExperimentTree.TreeNode>
      readonly best: string | null
      readonly wasStopped: boolean
    }
  >
  readonly asked: ReadonlyArray<string>
}

const effectOf = (world: World, name: string): number =>
  numbers([...name].reduce((hash, letter) => Math.imul(hash, 31) + letter.charCodeAt(0), world.seed))() * world.effect

/** Runs a search until nothing is pending; one that asks for ever is cut off. */
export const rehearse = (settings: Study.Settings, world: World): Rehearsed => {
  const random = numbers(world.seed)
  const tree = ExperimentTree.empty(settings.objective)
  const asked: Array<string> = []
  const decisions: Array<Rehearsed["decisions"][number]> = []
  const pending: Array<() => void> = []
  let pendingConfirms = 0
  let sinceConfirmation = 0
  let now = 0

  const speed = (id: string): number => {
    const { changes, seed } = tree.nodes.get(id)!
    const names = [...Object.entries(changes.parameters).map((pair) => pair.join("=")), ...changes.edits]
    const effects = names.map((name) => effectOf(world, name)).reduce((sum, effect) => sum + effect, 0)
    return 100 * Math.exp((seed === null ? effects : 0) + world.noise * (random() - 0.5))
  }
  const runJob = (id: string | null): void => {
    ExperimentTree.jobsLaunched(tree, id, 1)
    now += world.millis
  }
  const experiment = (id: string) => (): void => {
    const isSeed = tree.nodes.get(id)!.seed !== null
    const luck = isSeed ? 1 : random()
    if (!isSeed) sinceConfirmation += 1
    if (luck < world.cancelled) return void ExperimentTree.cancelled(tree, id, now)
    const failsAt = luck < world.cancelled + world.failing ? Math.floor(random() * (settings.repeats + 1)) : Infinity
    ExperimentTree.committed(tree, id, `commit-${id}`)
    for (let job = 0; job < settings.repeats && job <= failsAt; job++) {
      runJob(id)
      if (job < failsAt) ExperimentTree.measured(tree, id, { throughput: speed(id) })
    }
    if (failsAt === Infinity) return void ExperimentTree.completed(tree, id, now)
    const kind = random() < 0.5 ? "job_failed" : "job_lost"
    ExperimentTree.failed(tree, id, Failure.make({ kind, message: "as it happens", createdAt: now }), now)
  }
  const confirmation =
    ({ challenger, champion, pairs, purpose }: NonNullable<Planning.Decision["confirm"]>) => (): void => {
      pendingConfirms -= 1
      if (random() < world.breaking) return void runJob(null)
      const measured = Array.from({ length: pairs }, (): Measurement.Pair => {
        runJob(null)
        runJob(null)
        return [speed(challenger), speed(champion)]
      })
      const comparison = Measurement.compare(measured, settings.objective)
      ExperimentTree.confirmed(
        tree,
        ExperimentTree.confirmation({ challenger, champion, purpose, pairs: measured, comparison })
      )
    }

  for (const spec of Setup.affordableSeeds(settings)) {
    ExperimentTree.added(tree, spec, now)
    pending.push(experiment(spec.id))
  }
  // Seeds first, as their priority has it; then in any order.
  for (let settled = 0; pending.length > 0 && settled < 500; settled++) {
    const which = settled === 0 ? 0 : Math.floor(random() * pending.length)
    pending.splice(which, 1)[0]!()
    if (pending.length > 0 && random() < world.merged) continue
    const view: TreeView.TreeView = {
      ...TreeView.empty(),
      tree,
      pendingConfirms,
      sinceConfirmation,
      confirms: new Set(asked)
    }
    const before = new Map(tree.nodes)
    const decision = Planning.decide(view, settings, new Set(asked), now)
    decisions.push({
      ...decision,
      pending: pending.length,
      pendingConfirms,
      plateau: tree.plateau,
      elapsedMillis: now,
      before,
      best: tree.best,
      wasStopped: tree.stopped !== null
    })
    if (decision.stopped !== null) ExperimentTree.stopped(tree, decision.stopped)
    for (const spec of decision.experiments) {
      ExperimentTree.added(tree, spec, now)
      pending.push(experiment(spec.id))
    }
    if (decision.confirm !== null) {
      asked.push(`${decision.confirm.purpose}-${decision.confirm.challenger}-${decision.confirm.champion}`)
      pendingConfirms += 1
      sinceConfirmation = 0
      pending.push(confirmation(decision.confirm))
    }
  }
  return { tree, decisions, asked }
}

/**
 * What each state of a Slurm job means, for all of them: those of `squeue`'s manual (JOB STATE CODES), and those that
 * newer versions, and `scontrol` and `sacct`, show beside them. A state that is not here is of a version that nobody has
 * read about: it is an error that names it, and not a guess.
 */

/**
 * Where a job in this state stands.
 *
 * - `waiting`: it has not begun, or is to begin anew.
 * - `running`: it has an allocation; also when it is stopped or suspended, or changes its size.
 * - `ending`: its processes end, or its files are moved; how it ended shows when this is over.
 * - all others are final, each with what ended it.
 */
export type Standing =
  | "waiting"
  | "running"
  | "ending"
  /** Its batch script ended by itself, with whatever code. */
  | "ended"
  | "cancelled"
  | "timeLimit"
  | "outOfMemory"
  | "preempted"
  /** The machine, or its start, failed. */
  | "nodeFailed"
  /** Another cluster of the federation has taken it over. */
  | "revoked"

const table = {
  BOOT_FAIL: "nodeFailed",
  CANCELLED: "cancelled",
  COMPLETED: "ended",
  CONFIGURING: "waiting",
  COMPLETING: "ending",
  DEADLINE: "timeLimit",
  EXPEDITING: "ending",
  FAILED: "ended",
  LAUNCH_FAILED: "nodeFailed",
  NODE_FAIL: "nodeFailed",
  OUT_OF_MEMORY: "outOfMemory",
  PENDING: "waiting",
  POWER_UP_NODE: "waiting",
  PREEMPTED: "preempted",
  RECONFIG_FAIL: "nodeFailed",
  REQUEUED: "waiting",
  REQUEUE_FED: "waiting",
  REQUEUE_HOLD: "waiting",
  RESIZING: "running",
  RESV_DEL_HOLD: "waiting",
  REVOKED: "revoked",
  RUNNING: "running",
  SIGNALING: "running",
  SPECIAL_EXIT: "waiting",
  STAGE_OUT: "ending",
  STOPPED: "running",
  SUSPENDED: "running",
  TIMEOUT: "timeLimit",
  UPDATE_DB: "running"
} as const satisfies Record<string, Standing>

/** The full name of a state, as `squeue` prints it with `%T`. */
export type State = keyof typeof table

/** Every state that is known, in alphabetical order. */
export const states: ReadonlyArray<State> = Object.keys(table) as ReadonlyArray<State>

/** Whether a word is the name of a state. */
export const isState = (word: string): word is State => Object.hasOwn(table, word)

/** Where a job in this state stands. */
export const standingOf = (state: State): Standing => table[state]

/** Whether a job that stands there will not run any more. */
export const isOver = (standing: Standing): boolean =>
  standing !== "waiting" && standing !== "running" && standing !== "ending"

/** The failures that only recordings have. */
import * as Schema from "effect/Schema"
import { AgentUnavailable, noUsage, type Usage } from "../CodingAgent.ts"
import type { Unreadable } from "./recordedFiles.ts"

/** There is no recording of this call. An `AgentUnavailable`, so that who knows nothing of recordings can handle it. */
export class RecordingMissing extends AgentUnavailable.extend<RecordingMissing>("RecordingMissing")({
  /** The file of the recording that is closest, or null where there is none at all. */
  closest: Schema.NullOr(Schema.String),
  /** What differs from that, for a person. */
  differs: Schema.Array(Schema.String)
}) {}

/** The recording of this call cannot be used: its file is corrupt, or what it holds does not fit any more. */
export class RecordingUnusable extends AgentUnavailable.extend<RecordingUnusable>("RecordingUnusable")({
  file: Schema.String
}) {}

/** The call went well and could not be recorded. What it used is in the error. */
export class NotRecorded extends AgentUnavailable.extend<NotRecorded>("NotRecorded")({}) {}

/** The user's own function could not say what state a directory is in. */
export const unstated = (phase: string, directory: string, why: string) => {
  const detail = `the state of ${directory} cannot be told: ${why}`
  return new AgentUnavailable({
    phase,
    usage: noUsage,
    costUsd: 0,
    reason: "refused",
    detail,
    message: sentence(phase, detail)
  })
}

const sentence = (phase: string, detail: string) => `The call in phase ${phase} cannot be replayed: ${detail}`

/** The error of a file that is no recording, or not one that can be replayed. */
export const unusable = (phase: string) => ({ file, why }: Unreadable): RecordingUnusable => {
  const detail = `the recording ${file} cannot be used: ${why}. Restore it, or remove it and record the call again`
  const fields = { phase, usage: noUsage, costUsd: 0, reason: "refused" as const, detail }
  return new RecordingUnusable({ ...fields, file, message: sentence(phase, detail) })
}

/** The error of a call that went well, or not, and could not be kept. */
export const notRecorded = (
  phase: string,
  detail: string,
  { costUsd, usage }: { readonly usage: Usage; readonly costUsd: number }
): NotRecorded =>
  new NotRecorded({
    phase,
    usage,
    costUsd,
    reason: "failed",
    detail,
    message: `The call in phase ${phase} cannot be recorded: ${detail}`
  })

/** The error of a call that has no recording. */
export const notFound = (
  phase: string,
  directory: string,
  near: { readonly file: string; readonly differs: ReadonlyArray<string> } | undefined
): RecordingMissing => {
  const detail = (near === undefined
    ? `${directory} holds no recording at all`
    : `it has no recording. The closest is ${near.file}, which differs: ${near.differs.join("; ")}`) +
    `. Record it: mode = "replay-or-record"`
  return new RecordingMissing({
    phase,
    usage: noUsage,
    costUsd: 0,
    reason: "refused",
    detail,
    closest: near?.file ?? null,
    differs: near?.differs ?? [],
    message: sentence(phase, detail)
  })
}

/**
 * Ids of jobs. A run that keeps a limited number of settled works knows nothing of those that it has forgotten. So an id carries a
 * check: one that fits it was given out by this service once, and its job is gone; any other never was one.
 */
import { createHash, randomBytes } from "node:crypto"

const digest = (text: string): string => createHash("sha256").update(text).digest("hex")

const checked = (name: string): string => `${name}-${digest(`job ${name}`).slice(0, 8)}`

/** An id that nobody has had. */
export const make = (): string => checked(randomBytes(12).toString("hex"))

/** The id of the job that an idempotency key stands for: the same key always gets the same. */
export const ofKey = (key: string): string => checked(digest(`key ${key}`).slice(0, 24))

/** Whether this service may have given it out. */
export const isOurs = (id: string): boolean => checked(id.slice(0, 24)) === id

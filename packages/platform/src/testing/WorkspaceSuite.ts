/**
 * What every workspace must do, as named cases that any test runner can register:
 *
 * ```text
 * for (const { name, effect } of WorkspaceSuite.cases(subject)) it(name, () => Effect.runPromise(effect))
 * ```
 *
 * A case fails by a failed assertion (a defect) or by an error that it did not expect.
 */
import { type Case, checkWith, type Subject } from "../internal/workspaceCases.ts"
import { changeCases } from "../internal/workspaceCasesChanges.ts"
import { diskCases } from "../internal/workspaceCasesDisk.ts"
import { fileCases } from "../internal/workspaceCasesFiles.ts"
import { guardCases, optionCases } from "../internal/workspaceCasesGuard.ts"
import { committedCases, sourceCases, standingCases } from "../internal/workspaceCasesSource.ts"
import { treeCases } from "../internal/workspaceCasesTrees.ts"

export { type Case, Checkout, hostileIds, type Subject } from "../internal/workspaceCases.ts"

/** The cases for one workspace. Each builds its own, so they may run in any order and at once. */
export const cases = (subject: Subject): ReadonlyArray<Case> => {
  const check = checkWith(subject)
  return [
    ...treeCases(check),
    ...sourceCases(check),
    ...(subject.head === "committed" ? committedCases(check) : standingCases(check)),
    ...fileCases(check),
    ...changeCases(check),
    ...optionCases(subject),
    ...guardCases(check),
    ...(subject.onDisk ? diskCases(check) : [])
  ]
}

/**
 * For one capability, the layers that `espalier.toml` can choose: a record from kind to how the layer is made of its options,
 * and to what it needs of the machine.
 */
import type * as Requirements from "@espalier/platform/Requirements"
import type { Layer } from "effect"
import type * as Config from "../Config.ts"

/** What layers are made for: a configuration, and the directory of its run. */
export interface Place {
  readonly workdir: string
  readonly config: Config.Config
}

/**
 * One kind: how its layer is made of its options, and what that needs of the machine; where no project has chosen it yet
 * (no `place`), what it may need.
 *
 * - `module`: below `@espalier/platform`; null for what there is without a section. `about`: what it is, for `docs/choosing-layers.md`.
 * - `examples`: options by which to tell what this kind may need, where nothing is chosen yet.
 */
export interface Choice<Options, Service, E = never> {
  readonly module: string | null
  readonly about: string
  readonly layer: (options: Options, place: Place) => Layer.Layer<Service, E>
  readonly requirements: (options: Options, place?: Place) => ReadonlyArray<Requirements.Requirement>
  readonly examples: ReadonlyArray<Options>
}

export type Choices<Options extends { readonly kind: string }, Service, E = never> = {
  readonly [K in Options["kind"]]: Choice<Extract<Options, { readonly kind: K }>, Service, E>
}

/** The choice of some options. Both go by the same kind, which the types of a record cannot say. */
export const choose = <Options extends { readonly kind: string }, Service, E>(
  choices: Choices<Options, Service, E>,
  options: Options
): Choice<Options, Service, E> => choices[options.kind as Options["kind"]] as unknown as Choice<Options, Service, E>

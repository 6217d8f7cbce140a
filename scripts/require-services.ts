// For tests that need programs of the machine: `npm run test:real` fails where one is missing, and says how
// to get it. It does not skip: a test that did not run proves nothing.
import { accessSync, constants, statSync } from "node:fs"
import { delimiter, join } from "node:path"
import process from "node:process"

/** A program that a test starts, and where it comes from. */
export interface Service {
  /** The name of its executable. */
  readonly program: string
  /** The Debian package that installs it. */
  readonly debianPackage: string
  /** What the tests need it for, as an end to "is needed to ...". */
  readonly purpose: string
  /** Directories to look in after the PATH, for what Debian installs off it (`/usr/lib/postgresql/17/bin`). */
  readonly directories?: ReadonlyArray<string>
}

/** One or more programs are missing; the message names each, its purpose and its package. */
export class ServicesMissing extends Error {
  override readonly name = "ServicesMissing"
  readonly missing: ReadonlyArray<Service>
  constructor(missing: ReadonlyArray<Service>) {
    const packages = [...new Set(missing.map(({ debianPackage }) => debianPackage))].sort()
    super(
      [
        ...missing.map(({ debianPackage, program, purpose }) =>
          `${program} is not installed (Debian package ${debianPackage}): it is needed to ${purpose}.`
        ),
        `Install what is missing: apt-get install ${packages.join(" ")}`
      ].join("\n")
    )
    this.missing = missing
  }
}

/** Where the system administrator's programs lie, which are not on everybody's PATH. */
const system = ["/usr/local/sbin", "/usr/sbin", "/sbin"]

const isExecutable = (file: string) => {
  try {
    accessSync(file, constants.X_OK)
    return statSync(file).isFile()
  } catch {
    return false // absent, or not ours to run: for a test it is the same
  }
}

const find = ({ directories = [], program }: Service, path: string) =>
  [...path.split(delimiter).filter((directory) => directory !== ""), ...directories, ...system]
    .map((directory) => join(directory, program))
    .find(isExecutable)

/**
 * Finds every program, or throws `ServicesMissing` with all that are missing at once.
 *
 * @returns the absolute path of each program by its name
 */
export const requireServices = <const S extends ReadonlyArray<Service>>(
  services: S,
  path: string = process.env["PATH"] ?? ""
): { readonly [Program in S[number]["program"]]: string } => {
  const found = services.map((service) => [service, find(service, path)] as const)
  const missing = found.filter(([, file]) => file === undefined).map(([service]) => service)
  if (missing.length > 0) throw new ServicesMissing(missing)
  return Object.fromEntries(found.map(([{ program }, file]) => [program, file])) as never
}

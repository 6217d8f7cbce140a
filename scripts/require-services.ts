// For tests that need programs of the machine: `npm run test:real` installs what is missing, where it may (as root on
// Debian), and else fails, and says how to get it. It does not skip: a test that did not run proves nothing.
import { spawnSync } from "node:child_process"
import { accessSync, constants, existsSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
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
  /** `attempt` is what came of installing them, where that was tried. */
  constructor(missing: ReadonlyArray<Service>, attempt?: string) {
    const packages = packagesOf(missing)
    super(
      [
        ...missing.map(({ debianPackage, program, purpose }) =>
          `${program} is not installed (Debian package ${debianPackage}): it is needed to ${purpose}.`
        ),
        `Install what is missing: apt-get install ${packages.join(" ")}`,
        ...(attempt === undefined ? [] : [`That was tried, and failed: ${attempt}`])
      ].join("\n")
    )
    this.missing = missing
  }
}

const packagesOf = (services: ReadonlyArray<Service>): ReadonlyArray<string> =>
  [...new Set(services.map(({ debianPackage }) => debianPackage))].sort()

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

/** What can install packages. */
export interface Installer {
  /** Whether it may, on this machine, as this user. */
  readonly isAllowed: () => boolean
  /** Returns what went wrong, or nothing. */
  readonly install: (packages: ReadonlyArray<string>) => string | undefined
}

/**
 * Debian's packages, for root. Test files run beside each other, and apt-get refuses to run twice at the same time: so
 * they wait for each other. The lists of packages are fetched only if it does not go without: an image has old ones or none.
 */
const apt: Installer = {
  isAllowed: () => process.getuid?.() === 0 && existsSync("/etc/debian_version"),
  install: (packages) => {
    const lock = join(tmpdir(), "espalier-apt.lock")
    const install = "apt-get install --yes --no-install-recommends --option DPkg::Lock::Timeout=300 \"$@\""
    const script = `${install} || { apt-get update && ${install}; }`
    const { error, status, stderr, stdout } = spawnSync(
      "flock",
      ["--timeout", "600", lock, "sh", "-c", script, "sh", ...packages],
      {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "pipe"],
        env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" }
      }
    )
    return error?.message ?? (status === 0 ? undefined : `${stdout}${stderr}`.trim().split("\n").slice(-5).join("\n"))
  }
}

/** The same as `requireServices`; what is missing is installed first, where that is possible. */
export const installServices = <const S extends ReadonlyArray<Service>>(
  services: S,
  path?: string,
  installer: Installer = apt
): { readonly [Program in S[number]["program"]]: string } => {
  try {
    return requireServices(services, path)
  } catch (error) {
    if (!(error instanceof ServicesMissing) || !installer.isAllowed()) throw error
    const fault = installer.install(packagesOf(error.missing))
    if (fault !== undefined) throw new ServicesMissing(error.missing, fault)
    return requireServices(services, path)
  }
}

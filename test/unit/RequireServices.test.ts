import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { requireServices, type Service, ServicesMissing } from "../../scripts/require-services.ts"

describe("requireServices", () => {
  let directory: string
  const service = (program: string, rest: Partial<Service> = {}): Service => ({
    program,
    debianPackage: `${program}-package`,
    purpose: `use ${program}`,
    ...rest
  })

  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "espalier-services-"))
    for (const folder of ["one", "two", "off"]) mkdirSync(join(directory, folder))
    writeFileSync(join(directory, "two", "espalier-tool"), "#!/bin/sh\n")
    chmodSync(join(directory, "two", "espalier-tool"), 0o755)
    writeFileSync(join(directory, "off", "espalier-server"), "#!/bin/sh\n")
    chmodSync(join(directory, "off", "espalier-server"), 0o755)
    writeFileSync(join(directory, "one", "espalier-notes"), "text\n")
    mkdirSync(join(directory, "one", "espalier-folder"))
  })
  afterAll(() => rmSync(directory, { recursive: true, force: true }))

  const path = () => [join(directory, "one"), join(directory, "two")].join(delimiter)

  it("gives the path of each program", () => {
    expect(requireServices([service("espalier-tool")], path())).toEqual({
      "espalier-tool": join(directory, "two", "espalier-tool")
    })
  })

  it("looks where Debian puts a server that is not on the PATH", () => {
    const server = service("espalier-server", { directories: [join(directory, "off")] })
    expect(requireServices([server], path())).toEqual({ "espalier-server": join(directory, "off", "espalier-server") })
  })

  it("names every missing program with its purpose and its package, and the command that installs them", () => {
    const call = () => requireServices([service("espalier-tool"), service("espalier-b"), service("espalier-a")], path())
    expect(call).toThrow(ServicesMissing)
    expect(call).toThrow(
      "espalier-b is not installed (Debian package espalier-b-package): it is needed to use espalier-b.\n" +
        "espalier-a is not installed (Debian package espalier-a-package): it is needed to use espalier-a.\n" +
        "Install what is missing: apt-get install espalier-a-package espalier-b-package"
    )
  })

  it("does not take a directory or a file that cannot be run for a program", () => {
    expect(() => requireServices([service("espalier-notes")], path())).toThrow("espalier-notes is not installed")
    expect(() => requireServices([service("espalier-folder")], path())).toThrow("espalier-folder is not installed")
  })
})

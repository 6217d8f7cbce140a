import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { type Installer, installServices, type Service, ServicesMissing } from "../../scripts/require-services.ts"

const tool: Service = { program: "espalier-tool", debianPackage: "espalier-package", purpose: "use the tool" }

describe("installServices", () => {
  let directory: string
  let asked: Array<ReadonlyArray<string>>
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "espalier-services-"))
    asked = []
  })
  afterEach(() => rmSync(directory, { recursive: true, force: true }))

  const put = (): void => {
    writeFileSync(join(directory, tool.program), "#!/bin/sh\n")
    chmodSync(join(directory, tool.program), 0o755)
  }
  const installer = (isAllowed: boolean, install: () => string | undefined): Installer => ({
    isAllowed: () => isAllowed,
    install: (packages) => {
      asked.push(packages)
      return install()
    }
  })

  it("installs nothing where nothing is missing", () => {
    put()
    const found = installServices([tool], directory, installer(true, () => undefined))
    expect(found).toEqual({ "espalier-tool": join(directory, "espalier-tool") })
    expect(asked).toEqual([])
  })

  it("installs each package once, and finds the programs then", () => {
    const found = installServices([tool, tool], directory, installer(true, () => void put()))
    expect(found).toEqual({ "espalier-tool": join(directory, "espalier-tool") })
    expect(asked).toEqual([["espalier-package"]])
  })

  it("names what is missing where it may not install", () => {
    const call = () => installServices([tool], directory, installer(false, () => void put()))
    expect(call).toThrow(ServicesMissing)
    expect(call).toThrow("espalier-tool is not installed (Debian package espalier-package)")
    expect(asked).toEqual([])
  })

  it("says why it could not install", () => {
    const call = () => installServices([tool], directory, installer(true, () => "E: Unable to locate package"))
    expect(call).toThrow(/is not installed.*apt-get install espalier-package\nThat was tried, and failed: E: Unable/s)
  })

  it("names what is missing also after an installation that did not bring it", () => {
    expect(() => installServices([tool], directory, installer(true, () => undefined))).toThrow(ServicesMissing)
  })
})

/** What container images need: a program that builds them, and the daemon behind it where there is one. */
import * as Requirements from "../Requirements.ts"

/** The programs that are known. Anything else that understands the same commands can be named by its path. */
export const engines = ["docker", "podman"] as const

const installation: Readonly<Record<string, string>> = {
  docker: "Install Docker: https://docs.docker.com/engine/install",
  podman: "Install Podman: apt install podman, dnf install podman"
}

/** The program, and whether what is behind it answers. */
export const engine = (program: string): ReadonlyArray<Requirements.Requirement> => {
  const name = program.split("/").at(-1)!
  const install = installation[name] ?? `Install ${name}, or correct build.program`
  return [
    Requirements.program({ argv: [program, "--version"], name, remedy: install }),
    name === "podman"
      // Podman has no daemon; what can be wrong is its storage, or user namespaces that the kernel refuses.
      ? Requirements.answering({
        name: "podman's storage",
        argv: [program, "info", "--format", "{{.Store.GraphRoot}}"],
        remedy: "See what \"podman info\" says: mostly user namespaces, or /etc/subuid, want setting up"
      })
      : Requirements.answering({
        name: `${name}'s daemon`,
        argv: [program, "version", "--format", "{{.Server.Version}}"],
        // Some versions end well though the daemon has not answered.
        reads: (stdout) => /\d/.test(stdout) ? `it answers: ${stdout.trim()}` : undefined,
        remedy: "Start it (systemctl start docker), and be in its group: usermod --append --groups docker $USER"
      })
  ]
}

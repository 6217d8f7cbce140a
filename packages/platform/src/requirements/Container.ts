/** What container images need: a program that builds them, and the daemon behind it where there is one. */
import * as Requirements from "../Requirements.ts"

const installation = {
  docker: "Install Docker: https://docs.docker.com/engine/install",
  podman: "Install Podman: apt install podman, dnf install podman"
}

/**
 * The engine, and whether what is behind it answers. `program`: its program, where it is not the engine's name on the PATH.
 * `environment`: variables for it, such as `DOCKER_HOST`. `engineArguments`: before its command, such as `--context=build`.
 */
export const engine = (
  name: "docker" | "podman",
  options: {
    readonly program?: string | undefined
    readonly environment?: Readonly<Record<string, string>> | undefined
    readonly engineArguments?: ReadonlyArray<string> | undefined
  } = {}
): ReadonlyArray<Requirements.Requirement> => {
  const { engineArguments = [], environment, program = name } = options
  return [
    Requirements.program({ argv: [program, "--version"], environment, name, remedy: installation[name] }),
    name === "podman"
      // Podman has no daemon; what can be wrong is its storage, or user namespaces that the kernel refuses.
      ? Requirements.answering({
        name: "podman's storage",
        environment,
        argv: [program, ...engineArguments, "info", "--format", "{{.Store.GraphRoot}}"],
        remedy: "See what \"podman info\" says: mostly user namespaces, or /etc/subuid, want setting up"
      })
      : Requirements.answering({
        name: "docker's daemon",
        environment,
        argv: [program, ...engineArguments, "version", "--format", "{{.Server.Version}}"],
        // Some versions end well though the daemon has not answered.
        reads: (stdout) => /\d/.test(stdout) ? `it answers: ${stdout.trim()}` : undefined,
        remedy: "Start it (systemctl start docker), and be in its group: usermod --append --groups docker $USER"
      })
  ]
}

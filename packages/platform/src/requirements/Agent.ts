/** What coding agents need: their program, or the secret of their provider. */
import * as Requirements from "../Requirements.ts"

/** Claude's command line, by the name or path that the layer runs. */
export const claude = (program = "claude"): Requirements.Requirement =>
  Requirements.program({
    argv: [program, "--version"],
    name: "claude",
    // Older ones may not know an argument that keeps it in its directory, and do not start then.
    triedWith: "2.1.332",
    remedy: "Install it: npm install --global @anthropic-ai/claude-code@latest"
  })

/** Codex's command line, by the name or path that the layer runs. */
export const codex = (program = "codex"): Requirements.Requirement =>
  Requirements.program({
    argv: [program, "--version"],
    name: "codex",
    triedWith: "0.171.0",
    remedy: "Install it: npm install --global @openai/codex@latest"
  })

/** Where `codex login` left its login. */
export const codexLogin = (path: string): Requirements.Requirement =>
  Requirements.directory({
    name: "codex' login",
    path,
    access: "read",
    remedy: "Do it: codex login (with CODEX_HOME where it is not to be ~/.codex), or correct agent.login"
  })

/** The recordings that an agent is to be replayed from. */
export const recordings = (path: string): Requirements.Requirement =>
  Requirements.directory({
    name: "agent's recordings",
    path,
    access: "read",
    remedy: "Record them first, or correct agent.recordings"
  })

/** How Codex' program is called: its own sandbox on, no settings of the tree or of the user, nobody called but the provider. */
import type { AgentHome } from "./agentHome.ts"

/** What the arguments depend on. */
export interface CodexArguments {
  readonly program: string
  readonly model: string | undefined
  readonly mayWrite: boolean
  readonly mayUseNetwork: boolean
  /** A provider that is reached with a key; else the one of the program's own login. */
  readonly provider: { readonly baseUrl: string; readonly keyVariable: string } | undefined
  readonly retries: number
  /** Variables that shells of the agent do not see. */
  readonly hidden: ReadonlyArray<string>
  readonly extra: ReadonlyArray<string>
}

/** What calls others than the provider, keeps something, lets others work, or waits for ever. */
const features = [
  "apps",
  "browser_use",
  "computer_use",
  "goals",
  "hooks",
  "image_generation",
  "in_app_browser",
  "memories",
  "multi_agent",
  "plugins",
  "remote_plugin",
  "skill_mcp_dependency_install",
  "unbounded_connection_retries"
]

const settings: ReadonlyArray<readonly [string, unknown]> = [
  ["approval_policy", "never"],
  ["analytics.enabled", false],
  ["feedback.enabled", false],
  ["check_for_update_on_startup", false],
  ["web_search", "disabled"],
  ["history.persistence", "none"],
  // The prompt holds all that is needed: instructions in the tree are not asked for, and may be somebody else's.
  ["project_doc_max_bytes", 0],
  ["skills.include_instructions", false],
  ["skills.bundled.enabled", false],
  ["sandbox_workspace_write.exclude_slash_tmp", true],
  ...features.map((feature) => [`features.${feature}`, false] as const)
]

/** A string, number, truth value or array in JSON is the same in TOML. */
const setting = (key: string, value: unknown): string => `--config=${key}=${JSON.stringify(value)}`

/**
 * The argument vector. Values are joined to their flags by `=`, so that none is taken for a flag, and the prompt is not
 * among them: it comes on standard input.
 */
export const codexArguments = (call: CodexArguments): readonly [string, ...ReadonlyArray<string>] => [
  call.program,
  "exec",
  "--json",
  "--skip-git-repo-check",
  "--color=never",
  "--ignore-user-config",
  "--ignore-rules",
  `--sandbox=${call.mayWrite ? "workspace-write" : "read-only"}`,
  // Its own login is the user's home, where nothing may be left. A home of its own is removed: what stands in
  // the session until then tells of usage while the turn goes on.
  ...(call.provider === undefined ? ["--ephemeral"] : []),
  ...(call.model === undefined ? [] : [`--model=${call.model}`]),
  ...settings.map(([key, value]) => setting(key, value)),
  setting("sandbox_workspace_write.network_access", call.mayUseNetwork),
  setting("shell_environment_policy.exclude", call.hidden),
  ...(call.provider === undefined ? [] : [
    setting("model_provider", "espalier"),
    setting("model_providers.espalier.name", "espalier"),
    setting("model_providers.espalier.base_url", call.provider.baseUrl),
    setting("model_providers.espalier.env_key", call.provider.keyVariable),
    setting("model_providers.espalier.wire_api", "responses"),
    setting("model_providers.espalier.request_max_retries", call.retries),
    setting("model_providers.espalier.stream_max_retries", call.retries)
  ]),
  ...call.extra,
  "-"
]

/** Where the program keeps the sessions of a home. */
export const sessionsIn = (home: AgentHome): string => `${home.config}/sessions`

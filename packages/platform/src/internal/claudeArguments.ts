/** How Claude's program is called: no session, no settings of the tree or of the user, and no tool that was not given. */

/** What the arguments depend on. */
export interface ClaudeArguments {
  readonly program: string
  readonly model: string | undefined
  readonly mayWrite: boolean
  readonly readTools: ReadonlyArray<string>
  readonly writeTools: ReadonlyArray<string>
  readonly commands: ReadonlyArray<string>
  readonly rounds: number | undefined
  readonly costUsd: number | undefined
  readonly extra: ReadonlyArray<string>
}

/**
 * The argument vector. Values are joined to their flags by `=`, so that none is taken for a flag, and the prompt is not
 * among them: it comes on standard input.
 */
export const claudeArguments = (call: ClaudeArguments): readonly [string, ...ReadonlyArray<string>] => {
  const commands = call.mayWrite ? call.commands : []
  const tools = [
    ...call.readTools,
    ...(call.mayWrite ? call.writeTools : []),
    ...(commands.length === 0 ? [] : ["Bash"])
  ]
  return [
    call.program,
    "--print",
    "--output-format=stream-json",
    "--verbose",
    "--include-partial-messages",
    "--no-session-persistence",
    // Keeps the file tools inside the working directory, symbolic links resolved, and reads no settings of tree or user.
    "--restricted",
    "--strict-mcp-config",
    "--disable-slash-commands",
    "--permission-prompts=none",
    ...(call.mayWrite ? ["--permission-mode=acceptEdits"] : []),
    `--tools=${[...new Set(tools)].join(",")}`,
    ...commands.map((command) => `--allowedTools=Bash(${command})`),
    ...(call.model === undefined ? [] : [`--model=${call.model}`]),
    ...(call.rounds === undefined ? [] : [`--max-turns=${call.rounds}`]),
    ...(call.costUsd === undefined ? [] : [`--max-budget-usd=${call.costUsd}`]),
    ...call.extra
  ]
}

/**
 * The prompt as the program has to get it: one that begins with a slash is a command of the program's own, and is not
 * asked of the model, however commands are switched off.
 */
export const claudeInput = (prompt: string): string => prompt.startsWith("/") ? `\n${prompt}` : prompt

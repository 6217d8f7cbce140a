/** The words of a second turn, which asks to mend the answer of the first. */

/** Most of an answer that goes back to the agent. Its end is kept: that is where answers are. */
const quotedCharacters = 20_000

/** Stateless like every prompt: the task, what was answered, what is wrong with it. */
export const repairPrompt = (prompt: string, answer: string, issue: string): string =>
  [
    prompt,
    "",
    "----------",
    "",
    "You have answered this already, and your answer could not be read:",
    "",
    issue,
    "",
    "Your answer was:",
    "",
    answer.slice(-quotedCharacters),
    "",
    "----------",
    "",
    "Answer again with one JSON value that mends this, and nothing else. Do not change any file."
  ].join("\n")

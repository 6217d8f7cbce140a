/**
 * `npm run chaos`: real processes, killed with SIGKILL again and again, then the accounting.
 *
 * With `--execution` jobs are launched while whatever runs them is killed (`packages/platform/test/long/campaign`). Without it and
 * without `--engine` a whole search is killed (`search.ts`); with it, the engine alone with 20,000 works (`engine/campaign.ts`), and
 * with `--engine --mutants` engines that have a fault, which has to be noticed (`engine/mutation.ts`).
 */
const isAsked = (option: string): boolean => process.argv.includes(option)
if (isAsked("--execution")) await import("../../packages/platform/test/long/campaign/campaign.ts")
else if (!isAsked("--engine")) await import("./search.ts")
else if (isAsked("--mutants")) await import("./engine/mutation.ts")
else await import("./engine/campaign.ts")

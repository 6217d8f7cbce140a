export * as Cli from "./Cli.ts"
export * as Program from "./Program.ts"
export * as Report from "./Report.ts"

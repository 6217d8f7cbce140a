export * as Cli from "./Cli.ts"
export * as Report from "./Report.ts"

export * as JournalSuite from "./JournalSuite.ts"

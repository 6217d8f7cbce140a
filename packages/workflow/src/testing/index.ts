export * as TestLaboratory from "./TestLaboratory.ts"

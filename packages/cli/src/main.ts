#!/usr/bin/env node
/**
 * The program `espalier`.
 */
import { enableCompileCache } from "node:module"

// Compiling its modules is most of what a short command takes. From the second time on Node finds them compiled, under
// NODE_COMPILE_CACHE or the folder for temporary files; NODE_DISABLE_COMPILE_CACHE=1 turns it off. Only what is
// imported after this line is kept.
enableCompileCache()
const { start } = await import("./Program.ts")
start(process.argv.slice(2))

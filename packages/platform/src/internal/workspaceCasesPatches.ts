/** Patches for the cases of the workspace suite: one that fits its files, many that do not, and where none may lead. */
import type { PatchProblem } from "../Workspace.ts"

/** A patch of `src/main.ts` that fits it. */
export const fits = `--- a/src/main.ts
+++ b/src/main.ts
@@ -1,2 +1,2 @@
-const workers = 1
+const workers = 4
 const batch = 8
`

/** A patch that has to be refused, and why. */
export const refused: ReadonlyArray<readonly [PatchProblem, string]> = [
  ["empty", ""],
  ["empty", " \n\n"],
  ["malformed", "please make it faster"],
  ["malformed", "--- a/src/main.ts\n+++ b/src/main.ts\n"],
  ["malformed", "@@ -1 +1 @@\n-a\n+b\n"],
  ["malformed", "--- a/src/main.ts\n@@ -1 +1 @@\n-const workers = 1\n+x\n"],
  ["malformed", "--- a/src/main.ts\n+++ b/src/main.ts\n@@ nonsense\n"],
  ["malformed", "--- a/src/main.ts\n+++ b/README.md\n@@ -1 +1 @@\n-const workers = 1\n+x\n"],
  ["malformed", "--- /dev/null\n+++ /dev/null\n@@ -0,0 +1 @@\n+x\n"],
  ["malformed", "diff --git a/x b/y\nrename from x\n"],
  [
    "malformed",
    "--- a/src/main.ts\n+++ b/src/main.ts\n@@ -1,2 +1,2 @@\n-const workers = 1\n+x\n\\ No newline at end of file\n const batch = 8\n"
  ],
  ["context", fits.replace("workers = 1", "workers = 2")],
  ["context", fits.replace(" const batch = 8", " const batch = 9")],
  ["context", fits.replace(" const batch = 8", "  const batch = 8")],
  [
    "context",
    "--- a/src/main.ts\n+++ b/src/main.ts\n@@ -2 +2 @@\n-const batch = 8\n\\ No newline at end of file\n+const batch = 9\n"
  ],
  ["context", "--- a/src/main.ts\n+++ b/src/main.ts\n@@ -1,0 +2 @@\n+const more = 1\n"],
  ["context", "--- a/src/main.ts\n+++ /dev/null\n@@ -1 +0,0 @@\n-const workers = 1\n"],
  ["missing", fits.replaceAll("src/main.ts", "src/other.ts")],
  ["missing", "diff --git a/no b/new\nrename from no\nrename to new\n"],
  ["exists", "--- /dev/null\n+++ b/README.md\n@@ -0,0 +1 @@\n+new\n"],
  ["exists", "diff --git a/src/main.ts b/README.md\nrename from src/main.ts\nrename to README.md\n"],
  [
    "mode",
    "diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+/etc/passwd\n\\ No newline at end of file\n"
  ],
  [
    "mode",
    "diff --git a/sub b/sub\nnew file mode 160000\n--- /dev/null\n+++ b/sub\n@@ -0,0 +1 @@\n+Subproject commit 0000\n"
  ],
  [
    "binary",
    "diff --git a/README.md b/README.md\nindex 1..2 100644\nBinary files a/README.md and b/README.md differ\n"
  ],
  ["binary", "diff --git a/README.md b/README.md\nindex 1..2 100644\nGIT binary patch\nliteral 1\nIc\n"]
]

/** Where no patch may lead. */
export const escaping: ReadonlyArray<string> = [
  "/etc/passwd",
  "../outside",
  "src/../../outside",
  "src/../README.md",
  ".git/config",
  ".GIT/hooks/pre-commit",
  "sub/.git/config",
  ".git./x",
  "README.md/below",
  "src"
]

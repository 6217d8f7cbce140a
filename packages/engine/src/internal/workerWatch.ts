/**
 * A thread beside the main thread of a worker process. It sees what that one cannot see in the middle of a long
 * computation, and ends the process:
 *
 * - when the host is gone: the pipe to it is then at its end. Without this an endless loop would outlive a killed host.
 * - when the process has grown by more than its cap. V8 bounds its own heap, but not what lies outside of it: typed
 *   arrays, buffers, native code. The size is looked at ten times a second, so one quick allocation may get past the
 *   cap for a moment.
 */
import { Socket } from "node:net"
import { workerData } from "node:worker_threads"

const mebibyte = 1_048_576

/** Room for what V8 needs beside the heap that `--max-old-space-size` bounds: its young generation, code, stacks. */
const allowanceMegabytes = 64

const { fd, memoryMegabytes } = workerData as { readonly fd: number; readonly memoryMegabytes: number }
const end = (): void => void process.kill(process.pid, "SIGKILL")

const host = new Socket({ fd, readable: true, writable: true })
for (const event of ["end", "close", "error"]) host.on(event, end)
host.resume()

if (memoryMegabytes > 0) {
  const most = process.memoryUsage.rss() + (memoryMegabytes + allowanceMegabytes) * mebibyte
  setInterval(() => {
    if (process.memoryUsage.rss() > most) host.write("memory\n", end)
  }, 100)
}

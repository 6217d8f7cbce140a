/** Every fault, but no more than some of each sort: one cause makes thousands. */
export class Faults {
  readonly all: Array<string> = []
  private readonly counts = new Map<string, number>()

  add(sort: string, what: string): void {
    const count = (this.counts.get(sort) ?? 0) + 1
    this.counts.set(sort, count)
    if (count <= 3) this.all.push(`${sort}: ${what}`)
  }
}

/**
 * Whether chains have found the same distribution, and how much their draws are worth.
 */

type Draws = ReadonlyArray<number>

export const mean = (draws: Draws): number => draws.reduce((sum, each) => sum + each, 0) / draws.length

export const variance = (draws: Draws): number => {
  const centre = mean(draws)
  return draws.reduce((sum, each) => sum + (each - centre) ** 2, 0) / (draws.length - 1)
}

/** The value below which this part of the draws lies. */
export const quantile = (draws: Draws, part: number): number => {
  const sorted = Float64Array.from(draws).sort()
  const place = part * (sorted.length - 1)
  const below = Math.floor(place)
  return sorted[below]! + (place - below) * ((sorted[below + 1] ?? sorted[below]!) - sorted[below]!)
}

/**
 * Split R-hat (Gelman and others, "Bayesian Data Analysis", 3rd edition, section 11.4): each chain is cut in half, and
 * the variance between the halves is held against the variance within. Near 1 when all have seen the same; above 1.01
 * is a reason to look.
 */
export const splitRHat = (chains: ReadonlyArray<Draws>): number => {
  const halves = chains.flatMap((draws) => {
    const half = Math.floor(draws.length / 2)
    return [draws.slice(0, half), draws.slice(-half)]
  })
  const length = halves[0]!.length
  const within = mean(halves.map(variance))
  const between = length * variance(halves.map(mean))
  return Math.sqrt(((length - 1) / length) + between / (length * within))
}

/**
 * How many independent draws the draws of all chains are worth: autocorrelations are summed in pairs while their sum is
 * above 0 and falls (Geyer's initial monotone sequence).
 */
export const effectiveSize = (chains: ReadonlyArray<Draws>): number => {
  const length = chains[0]!.length
  const means = chains.map(mean)
  const within = mean(chains.map(variance))
  const betweenOverLength = chains.length > 1 ? variance(means) : 0
  const pooled = ((length - 1) / length) * within + betweenOverLength
  const correlation = (lag: number): number => {
    const covariance = mean(chains.map((draws, chain) => {
      let sum = 0
      for (let at = 0; at + lag < length; at++) sum += (draws[at]! - means[chain]!) * (draws[at + lag]! - means[chain]!)
      return sum / length
    }))
    return 1 - (within - covariance) / pooled
  }
  let time = -1
  let smallest = Infinity
  for (let lag = 0; lag + 1 < length; lag += 2) {
    const pair = correlation(lag) + correlation(lag + 1)
    if (pair <= 0) break
    smallest = Math.min(smallest, pair)
    time += 2 * smallest
  }
  // Draws that alternate are worth more than independent ones, but no more than this is claimed.
  const most = chains.length * length * Math.log10(chains.length * length)
  return Math.min((chains.length * length) / Math.max(time, Number.EPSILON), most)
}
